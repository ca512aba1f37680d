//! Numbers for the ids of images.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Ids, numbered as they came. Their bytes lie one after another: a million strings of their own take
/// longer to be given back than to be found.
#[derive(Default)]
pub(super) struct Ids {
    text: String,
    /// Where each ends.
    ends: Vec<usize>,
    numbers: HashTable<usize>,
    hasher: ahash::RandomState,
}

impl Ids {
    /// The number of an id: the next one, where it is new.
    pub(super) fn number(&mut self, id: &str) -> usize {
        let Self { text, ends, numbers, hasher } = self;
        let of = |number: &usize| at(text, ends, *number);
        let hash = hasher.hash_one(id);
        let entry = numbers.entry(hash, |number| of(number) == id, |n| hasher.hash_one(of(n)));
        let slot = match entry {
            Entry::Occupied(found) => return *found.get(),
            Entry::Vacant(slot) => slot,
        };
        let number = ends.len();
        slot.insert(number);
        text.push_str(id);
        ends.push(text.len());
        number
    }

    /// All ids, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|number| at(&self.text, &self.ends, number))
    }
}

/// The id of a number; of one that was not given, none that there is.
fn at<'t>(text: &'t str, ends: &[usize], number: usize) -> &'t str {
    let from = number.checked_sub(1).map_or(Some(&0), |before| ends.get(before));
    let range = from.zip(ends.get(number));
    range.and_then(|(from, to)| text.get(*from..*to)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_numbers_at_which_they_came_first() {
        let mut ids = Ids::default();
        let names: Vec<String> = (0..5000).map(|n| format!("é{}", n % 1700)).collect();
        let numbers: Vec<usize> = names.iter().map(|name| ids.number(name)).collect();
        assert_eq!(numbers, (0..5000).map(|n| n % 1700).collect::<Vec<_>>());
        // What is empty, and what begins as another does, are ids of their own.
        assert_eq!([ids.number("é1700"), ids.number(""), ids.number("é")], [1700, 1701, 1702]);
        assert_eq!([ids.number(""), ids.number("é1")], [1701, 1]);
        let all: Vec<&str> = ids.iter().collect();
        assert_eq!(all.len(), 1703);
        assert_eq!(all.get(1699..), Some(&["é1699", "é1700", "", "é"][..]));
    }
}
