//! Two members of a source with one image id: neither can be trusted.

use std::collections::HashMap;

use super::member::Member;
use crate::flow::{Reject, RejectClass};

/// Takes out every member whose image id another one has too; each reject names the other.
/// The order of the rest stays.
pub fn duplicates(members: &mut Vec<Member>) -> Vec<Reject> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::with_capacity(members.len());
    for (at, member) in members.iter().enumerate() {
        places.entry(&member.image_id).or_default().push(at);
    }
    let mut rejects = Vec::new();
    let mut keep = vec![true; members.len()];
    for (at, member) in members.iter().enumerate() {
        let Some(same) = places.get(member.image_id.as_str()).filter(|same| same.len() > 1) else {
            continue;
        };
        let other = same.iter().find(|other| **other != at).and_then(|other| members.get(*other));
        let mut message = format!(
            "its image id is also that of {}",
            other.map_or("another", |other| other.origin.member.as_str())
        );
        if same.len() > 2 {
            message.push_str(&format!(" and of {} more", same.len() - 2));
        }
        rejects.push(Reject {
            origin: member.origin.clone(),
            image_id: Some(member.image_id.clone()),
            class: RejectClass::DuplicateId,
            message,
            digest: member.digest,
        });
        if let Some(keep) = keep.get_mut(at) {
            *keep = false;
        }
    }
    let mut keep = keep.into_iter();
    members.retain(|_| keep.next().unwrap_or(true));
    rejects
}
