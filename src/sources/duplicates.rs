//! Two members of a source with one image id: neither can be trusted.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};

use super::member::Member;
use crate::flow::{Reject, RejectClass};

/// The image ids that more than one of `members` has. Of a million members it takes a few
/// megabytes to tell.
pub fn doubled<'m>(members: impl Iterator<Item = &'m Member> + Clone) -> BTreeSet<String> {
    // As files of photographs are mostly packed.
    if members.clone().is_sorted_by(|one, next| one.image_id < next.image_id) {
        return BTreeSet::new();
    }
    let hasher = RandomState::new();
    let mut hashed: Vec<_> = members.map(|m| (hasher.hash_one(&m.image_id), m)).collect();
    hashed.sort_unstable_by_key(|(hash, _)| *hash);
    let mut doubled = BTreeSet::new();
    for same in hashed.chunk_by(|(a, _), (b, _)| a == b).filter(|same| same.len() > 1) {
        let mut ids: Vec<_> = same.iter().map(|(_, member)| member.image_id.as_str()).collect();
        ids.sort_unstable();
        for pair in ids.windows(2) {
            if let [first, second] = pair
                && first == second
            {
                doubled.insert((*first).to_owned());
            }
        }
    }
    doubled
}

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
        let other = match other.map(|other| &other.origin) {
            // an archive may hold one name twice
            Some(other) if other.member == member.origin.member => {
                format!("another member of that name, at byte {}", other.offset)
            }
            Some(other) => other.member.to_string(),
            None => "another".to_owned(),
        };
        let mut message = format!("its image id is also that of {other}");
        if same.len() > 2 {
            message.push_str(&format!(" and of {} more", same.len() - 2));
        }
        rejects.push(Reject {
            origin: member.origin.clone(),
            image_id: Some(member.image_id.clone()),
            class: RejectClass::DuplicateId,
            message,
            // It says nothing of the bytes: with the other one gone they are as good as any.
            digest: None,
        });
        if let Some(keep) = keep.get_mut(at) {
            *keep = false;
        }
    }
    let mut keep = keep.into_iter();
    members.retain(|_| keep.next().unwrap_or(true));
    rejects
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Digest;
    use crate::flow::Origin;
    use crate::sources::member::Layout;

    #[test]
    fn one_name_twice_is_told_by_its_places() {
        let member = |name: &str, offset| Member {
            image_id: "1".into(),
            origin: Origin { source: "photos".into(), member: name.into(), offset },
            archive: 0,
            size_bytes: 1,
            stamp: Digest::of(&[]),
            digest: None,
            layout: Layout::Whole,
        };
        let mut members =
            vec![member("1.jpg", 512), member("1.jpg", 1536), member("a/1.jpg", 2560)];
        let messages: Vec<String> =
            duplicates(&mut members).into_iter().map(|reject| reject.message).collect();
        assert!(members.is_empty());
        assert_eq!(
            messages,
            [
                "its image id is also that of another member of that name, at byte 1536 and of 1 more",
                "its image id is also that of another member of that name, at byte 512 and of 1 more",
                "its image id is also that of 1.jpg and of 1 more",
            ]
        );
    }

    #[test]
    fn what_two_members_have_is_found_in_any_order() {
        let member = |id: &&str| Member {
            image_id: (*id).into(),
            origin: Origin { source: "photos".into(), member: (*id).into(), offset: 0 },
            archive: 0,
            size_bytes: 1,
            stamp: Digest::of(&[]),
            digest: None,
            layout: Layout::Whole,
        };
        let of = |ids: &[&str]| {
            let members: Vec<_> = ids.iter().map(member).collect();
            doubled(members.iter()).into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of(&[]), "");
        assert_eq!(of(&["a", "b", "c"]), "");
        assert_eq!(of(&["a", "b", "b", "c"]), "b");
        assert_eq!(of(&["c", "a", "b"]), "");
        assert_eq!(of(&["c", "a", "b", "c", "a", "c"]), "a c");
    }
}
