//! `plan` equals what `run` then does, every time, and histories say what comparisons find: random edits
//! of a small data set.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::house::{self, DEFINITION, House, StopAt, gz, id, picture, put, tar_of, told};
use super::step::{Step, definition, done, foreseen, options, plan_and_run};
use clipmill::base::clock::SystemClock;
use clipmill::base::{Cancel, Kind};
use clipmill::plan::{Counts, Reason};
use clipmill::run::Options;
use clipmill::table::Store;

/// An edit of the data, the definition, or the store.
#[derive(Debug, Clone)]
enum Edit {
    Add {
        seed: u8,
    },
    Remove {
        at: u8,
    },
    Recolour {
        at: u8,
        seed: u8,
    },
    Break {
        at: u8,
        cut: u8,
    },
    Double {
        at: u8,
    },
    Folder {
        at: u8,
    },
    Reverse,
    Pack {
        how: u8,
    },
    Retell {
        at: u8,
        words: u8,
    },
    Drop {
        at: u8,
    },
    Tell {
        at: u8,
    },
    Shuffle,
    Weights {
        seed: u8,
    },
    Setting {
        which: u8,
        on: bool,
    },
    DamagePart {
        table: u8,
        part: u8,
        how: u8,
    },
    Retry,
    /// A run that is stopped after so many images or captions.
    Interrupt {
        after: u8,
    },
    /// A run of one table, before that of all.
    Only {
        table: u8,
    },
}

fn edit() -> impl Strategy<Value = Edit> {
    use Edit::*;
    let n = any::<u8>;
    prop_oneof![
        3 => n().prop_map(|seed| Add { seed }),
        2 => n().prop_map(|at| Remove { at }),
        3 => (n(), n()).prop_map(|(at, seed)| Recolour { at, seed }),
        2 => (n(), n()).prop_map(|(at, cut)| Break { at, cut }),
        1 => n().prop_map(|at| Double { at }),
        1 => n().prop_map(|at| Folder { at }),
        1 => Just(Reverse),
        2 => (0..4_u8).prop_map(|how| Pack { how }),
        2 => (n(), n()).prop_map(|(at, words)| Retell { at, words }),
        1 => n().prop_map(|at| Drop { at }),
        2 => n().prop_map(|at| Tell { at }),
        1 => Just(Shuffle),
        1 => (0..3_u8).prop_map(|seed| Weights { seed }),
        2 => (0..5_u8, any::<bool>()).prop_map(|(which, on)| Setting { which, on }),
        2 => (0..5_u8, n(), 0..3_u8).prop_map(|(table, part, how)| DamagePart { table, part, how }),
        1 => Just(Retry),
        2 => n().prop_map(|after| Interrupt { after }),
        2 => (0..5_u8).prop_map(|table| Only { table }),
    ]
}

/// A data set as it should be on disk.
struct World {
    house: House,
    /// Name in the archive, seed of the picture, bytes that are left of it.
    images: Vec<(String, usize, Option<usize>)>,
    captions: Vec<(usize, usize, String)>,
    pack: u8,
    settings: [bool; 5],
    next: usize,
    retry: bool,
    interrupt: Option<u8>,
    only: Option<&'static str>,
}

const TABLES: [&str; 5] = ["images", "image_features", "captions", "caption_features", "examples"];

impl World {
    fn new() -> Self {
        let mut world = Self {
            house: House::new(1),
            images: Vec::new(),
            captions: Vec::new(),
            pack: 0,
            settings: [false; 5],
            next: 0,
            retry: false,
            interrupt: None,
            only: None,
        };
        (0..5).for_each(|seed| world.add(seed));
        world.write();
        world
    }

    fn add(&mut self, seed: usize) {
        let n = self.next;
        self.next += 1;
        self.images.push((format!("{}.jpg", id(n)), seed, None));
        for index in 0..2 {
            self.captions.push((n, index, format!("picture {n} told {index} times .")));
        }
    }

    fn image(&mut self, at: u8) -> Option<&mut (String, usize, Option<usize>)> {
        let count = self.images.len().max(1);
        self.images.get_mut(at as usize % count)
    }

    fn apply(&mut self, edit: &Edit) {
        let captions = self.captions.len().max(1);
        match *edit {
            Edit::Add { seed } => self.add(seed as usize),
            Edit::Remove { at } => {
                // Contracts want a row.
                if self.images.len() > 2 {
                    let at = at as usize % self.images.len();
                    self.images.remove(at);
                }
            }
            Edit::Recolour { at, seed } => {
                if let Some(image) = self.image(at) {
                    (image.1, image.2) = (seed as usize, None);
                }
            }
            Edit::Break { at, cut } => {
                let good = self.images.iter().filter(|image| image.2.is_none()).count();
                if good > 2
                    && let Some(image) = self.image(at)
                {
                    image.2 = Some(cut as usize);
                }
            }
            Edit::Double { at } => {
                if self.images.len() > 3
                    && let Some((name, seed, _)) = self.image(at).cloned()
                {
                    self.images.push((format!("double/{name}"), seed + 1, None));
                }
            }
            Edit::Folder { at } => {
                if let Some(image) = self.image(at) {
                    image.0 = format!("deep/{}", image.0);
                }
            }
            Edit::Reverse => self.images.reverse(),
            Edit::Pack { how } => self.pack = how,
            Edit::Retell { at, words } => {
                if let Some(caption) = self.captions.get_mut(at as usize % captions) {
                    caption.2 = format!("told in {words}  other words .");
                }
            }
            Edit::Drop { at } => {
                if self.captions.len() > 4 {
                    self.captions.remove(at as usize % captions);
                }
            }
            Edit::Tell { at } => {
                if let Some((n, _, _)) = self.captions.get(at as usize % captions).cloned() {
                    let next = self.captions.iter().filter(|c| c.0 == n).map(|c| c.1 + 1).max();
                    self.captions.push((n, next.unwrap_or(0), "one more .".to_owned()));
                }
            }
            Edit::Shuffle => self.captions.rotate_left(captions / 3),
            Edit::Weights { seed } => self.house.model(u64::from(seed) + 7),
            Edit::Setting { which, on } => self.settings[which as usize] = on,
            Edit::DamagePart { table, part, how } => self.damage(TABLES[table as usize], part, how),
            Edit::Retry => self.retry = true,
            Edit::Interrupt { after } => self.interrupt = Some(after % 24),
            Edit::Only { table } => self.only = Some(TABLES[table as usize]),
        }
    }

    fn damage(&self, table: &str, part: u8, how: u8) {
        let Some(snapshot) = self.house.store().snapshot(table).unwrap() else { return };
        let parts = snapshot.part_paths();
        let Some(path) = parts.get(part as usize % parts.len().max(1)) else { return };
        match how {
            0 => {
                let _ = std::fs::remove_file(path);
            }
            _ => {
                let Ok(mut bytes) = std::fs::read(path) else { return };
                if how == 1 {
                    bytes.truncate(bytes.len() / 2);
                } else {
                    let at = bytes.len() - 30;
                    bytes[at] ^= 1;
                }
                put(path, &bytes);
            }
        }
    }

    fn write(&self) {
        self.write_to(&self.house, |_| true);
    }

    /// Writes the data without the images whose id is not `wanted`; their captions stay.
    fn write_to(&self, house: &House, wanted: impl Fn(&str) -> bool) {
        let bytes = |seed: usize, cut: Option<usize>| {
            let mut bytes = picture(seed);
            if let Some(cut) = cut {
                bytes.truncate(150 + cut);
            }
            bytes
        };
        let images: house::Images = self
            .images
            .iter()
            .filter(|(name, _, _)| wanted(stem(name)))
            .map(|(name, seed, cut)| (name.clone(), bytes(*seed, *cut)))
            .collect();
        let tar = tar_of(&images);
        let (photos, packed) = match self.pack {
            0 => ("[sources.photos.tar]\npaths = \"images.tar\"", tar),
            1 => ("[sources.photos.tar]\npaths = \"images.tar\"", gz(&tar)),
            2 => {
                ("[sources.photos.tar]\npaths = \"other.tar\"", zstd::encode_all(&*tar, 1).unwrap())
            }
            _ => ("[sources.photos.folder]\npaths = \"photos\"", Vec::new()),
        };
        match self.pack {
            0 | 1 => put(&house.path("images.tar"), &packed),
            2 => put(&house.path("other.tar"), &packed),
            _ => {
                let _ = std::fs::remove_dir_all(house.path("photos"));
                for (name, bytes) in &images {
                    put(&house.path("photos").join(name), bytes);
                }
            }
        }
        let lines = self.captions.iter().map(|(n, i, text)| format!("{}.jpg#{i}\t{text}", id(*n)));
        house.captions(&lines.collect::<Vec<_>>());
        let [clean, plain_norm, seed, batch, clean_text] = self.settings;
        let mut text = DEFINITION
            .replace("[sources.photos.tar]\npaths = \"images.tar\"", photos)
            .replace("store = \"store\"", "store = \"store\"\npart_rows = 3");
        if clean || clean_text {
            let with = "source = \"sentences\"\nclean = [\"whitespace\"]";
            text = text.replace("source = \"sentences\"", with);
        }
        if clean_text {
            let stage = "[stages.caption_features.embed_captions]";
            text = text.replace(stage, &format!("{stage}\ncolumn = \"clean_text\""));
        }
        if plain_norm {
            text = text.replace("batch_size = 4", "batch_size = 4\nnormalize = false");
        }
        if batch {
            text = text.replace("batch_size = 4", "batch_size = 3");
        }
        if seed {
            let with =
                "source = \"sentences\"\nsplit = { train = 0.5, val = 0.2, test = 0.3, seed = 5 }";
            text = text.replace("source = \"sentences\"", with);
        }
        house.define(&text);
    }

    /// Plans and runs; the two agree.
    fn step(&mut self) {
        self.write();
        let versions = told::versions(&self.house);
        if let Some(after) = self.interrupt.take() {
            self.interrupted(after);
        }
        if let Some(table) = self.only.take() {
            self.only(table);
        }
        if !versions.is_empty() {
            told::check(&self.house, &versions);
        }
        let before = self.cut().next().is_some().then(|| self.copied());
        let options = Options { retry_rejects: std::mem::take(&mut self.retry), ..options() };
        let step = plan_and_run(&self.house, &options);
        let in_pass = |table: &str| ["images", "image_features"].contains(&table);
        assert_eq!(foreseen(&step.foreseen, in_pass), done(&step.report, in_pass));
        // What was tried again counts as gone, until the run finds it refused once more.
        let retried = options.retry_rejects;
        if self.lost(&step) == 0 {
            let others = |table: &str| !in_pass(table) && (table != "rejects" || !retried);
            assert_eq!(foreseen(&step.foreseen, others), done(&step.report, others));
        } else {
            self.without_lost(&before.unwrap(), &step, &options);
        }
        self.compare();
    }

    /// Images that are broken and no doubles: those that a plan may suppose to decode.
    fn cut(&self) -> impl Iterator<Item = &str> {
        let single = |id: &str| self.images.iter().filter(|one| stem(&one.0) == id).count() == 1;
        let cut = self.images.iter().filter(|(_, _, cut)| cut.is_some());
        cut.map(|(name, _, _)| stem(name)).filter(move |id| single(id))
    }

    /// A copy of all that is on disk.
    fn copied(&self) -> House {
        let house = House { dir: house::folder() };
        house::copy(self.house.dir.path(), house.dir.path());
        house
    }

    /// What was foreseen without the images that the run then refused is what it did.
    fn without_lost(&self, before: &House, step: &Step, options: &Options) {
        let listed = self.house.rows("images", &["image_id"]);
        let cut: Vec<&str> = self.cut().collect();
        let foreseen_of = |wanted: &dyn Fn(&str) -> bool| {
            self.write_to(before, wanted);
            clipmill::run::survey(&definition(before), options).unwrap()
        };
        // Of an image whose header is sound there are captions, and no example.
        let listed = |id: &str| !cut.contains(&id) || listed.iter().any(|one| one == id);
        let captions = |table: &str| ["captions", "caption_features"].contains(&table);
        let of_listed = foreseen_of(&listed);
        assert_eq!(foreseen(&of_listed, captions), done(&step.report, captions), "{cut:?} lost");
        let of_good = foreseen_of(&|id| !cut.contains(&id));
        let examples = |table: &str| table == "examples";
        assert_eq!(foreseen(&of_good, examples), done(&step.report, examples), "{cut:?} lost");
        if !options.retry_rejects {
            let stays = |counts: &Counts| -> u64 {
                let stay = counts.iter().filter(|(reason, _)| *reason != Reason::Removed);
                stay.map(|(_, rows)| rows).sum()
            };
            let good = of_good.tables.iter().find(|t| t.table == "rejects");
            let made = step.report.tables.iter().find(|t| t.table == "rejects").unwrap();
            let good = good.map_or(0, |of| stays(&of.counts));
            assert_eq!(good + cut.len() as u64, stays(&made.counts), "{cut:?} lost");
        }
    }

    /// A run that is stopped on its way; what it made is in the next plan.
    fn interrupted(&self, after: u8) {
        let cancel = Cancel::new();
        let progress = StopAt::new(None, i64::from(after), &cancel);
        let options = Options { cancel, progress, ..options() };
        let report = clipmill::run::run(&definition(&self.house), &options);
        assert!(report.is_ok() || report.is_err_and(|e| e.kind() == Kind::Interrupted));
    }

    /// A run of one table and of what it is made from does what its plan says, and nothing of others.
    fn only(&self, table: &'static str) {
        let options = Options { only: vec![table.to_owned()], ..options() };
        let before = self.versions();
        let foretold = clipmill::run::survey(&definition(&self.house), &options).unwrap();
        let report = clipmill::run::run(&definition(&self.house), &options).unwrap();
        let chosen: &[&str] = match table {
            "images" => &["images"],
            "image_features" => &["images", "image_features"],
            "captions" => &["images", "captions"],
            "caption_features" => &["images", "captions", "caption_features"],
            _ => &["images", "image_features", "captions", "examples"],
        };
        let in_pass = ["images", "image_features"];
        // Of what is made from images that a plan supposes to decode, it foretells too much.
        let sure = self.cut().next().is_none();
        let same = |name: &str| chosen.contains(&name) && (sure || in_pass.contains(&name));
        if report.broken.is_empty() {
            assert_eq!(foreseen(&foretold, same), done(&report, same), "--only {table}");
        }
        for ((name, then), (_, now)) in before.iter().zip(self.versions()) {
            assert!(chosen.contains(name) || *then == now, "--only {table} changed {name}");
        }
    }

    fn versions(&self) -> Vec<(&'static str, Option<i64>)> {
        let Ok(store) = Store::open(&self.house.path("store"), Arc::new(SystemClock)) else {
            return TABLES.map(|name| (name, None)).to_vec();
        };
        let version = |name| store.snapshot(name).unwrap().map(|now| now.version());
        TABLES.map(|name| (name, version(name))).to_vec()
    }

    /// Images that the plan supposed to decode, and that did not.
    fn lost(&self, step: &Step) -> u64 {
        let foreseen = step.foreseen.tables.iter().find(|t| t.table == "image_features").unwrap();
        let kept = foreseen
            .counts
            .iter()
            .filter(|(reason, _)| !matches!(reason, Reason::RejectedEarlier | Reason::Removed));
        let supposed: u64 = kept.map(|(_, rows)| rows).sum();
        let there = step.report.tables.iter().find(|t| t.table == "image_features").unwrap().rows;
        supposed - there
    }

    /// The tables hold what the data say, whatever was done before.
    fn compare(&self) {
        let mut places: BTreeMap<String, Vec<(usize, Option<usize>)>> = BTreeMap::new();
        for (name, seed, cut) in &self.images {
            places.entry(stem(name).to_owned()).or_default().push((*seed, *cut));
        }
        let good: Vec<_> = places
            .iter()
            .filter(|(_, of)| matches!(of.as_slice(), [(_, None)]))
            .map(|(id, _)| id.clone())
            .collect();
        assert_eq!(self.house.rows("image_features", &["image_id"]), good);
        // Of a broken image the header may be sound.
        let listed = self.house.rows("images", &["image_id"]);
        assert!(good.iter().all(|id| listed.contains(id)), "{good:?} in {listed:?}");
        let single = |id: &String| places.get(id).is_some_and(|of| of.len() == 1);
        assert!(listed.iter().all(single), "{listed:?}");
        for (table, ids) in [("captions", &listed), ("examples", &good)] {
            let of = self.captions.iter().filter(|(n, _, _)| ids.contains(&id(*n)));
            // Examples hold the text that was embedded: the clean one wherever there is one.
            let cleaned = table == "examples" && (self.settings[0] || self.settings[4]);
            let told = |text: &String| match cleaned {
                true => text.split_whitespace().collect::<Vec<_>>().join(" "),
                false => text.clone(),
            };
            let mut expected: Vec<_> =
                of.map(|(n, index, text)| format!("{}|{index}|{}", id(*n), told(text))).collect();
            expected.sort();
            let stored = self.house.rows(table, &["image_id", "caption_index", "text"]);
            assert_eq!(stored, expected, "{table}");
        }
        let prints = self.house.rows("image_features", &["fingerprint"]);
        assert!(prints.windows(2).all(|w| w[0] == w[1]), "two models in one version");
    }
}

/// The id that a member's name gives.
fn stem(name: &str) -> &str {
    name.rsplit('/').next().unwrap().trim_end_matches(".jpg")
}

/// A number that the environment gives.
fn env<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

fn edits() -> impl Strategy<Value = Vec<Vec<Edit>>> {
    prop::collection::vec(prop::collection::vec(edit(), 0..4), 2..6)
}

fn assert_plan_equals_run(steps: &[Vec<Edit>]) {
    let mut world = World::new();
    world.step();
    for edits in steps {
        edits.iter().for_each(|edit| world.apply(edit));
        world.step();
    }
}

/// The same edits at every run, or those of `PROPTEST_RNG_SEED`, as many as `PROPTEST_CASES` says.
fn half(seed: u64) -> ProptestConfig {
    let given: u64 = env("PROPTEST_RNG_SEED").unwrap_or(0);
    let seed = given.wrapping_mul(2).wrapping_add(seed);
    ProptestConfig {
        cases: env("PROPTEST_CASES").unwrap_or(24_u32).div_ceil(2),
        rng_seed: RngSeed::Fixed(seed),
        max_shrink_iters: 60,
        ..ProptestConfig::default()
    }
}

// Two halves, so that two cores share what takes longest of all here.
proptest! {
    #![proptest_config(half(1))]

    #[test]
    fn plan_equals_run(steps in edits()) {
        assert_plan_equals_run(&steps);
    }
}

proptest! {
    #![proptest_config(half(2))]

    #[test]
    fn plan_equals_run_of_other_edits(steps in edits()) {
        assert_plan_equals_run(&steps);
    }
}

/// Rows whose content moved are copied from the parts that they leave; a damaged part has none.
#[test]
fn images_move_while_a_part_is_damaged() {
    for how in 0..3 {
        let mut world = World::new();
        world.step();
        world.apply(&Edit::DamagePart { table: 0, part: 0, how });
        world.apply(&Edit::Remove { at: 0 });
        world.step();
    }
}

/// The new edits, wherever chance leads.
#[test]
fn stopped_and_partial_runs_and_lost_images() {
    let mut world = World::new();
    world.step();
    for (after, table) in [(1, 0), (7, 1), (15, 2), (20, 3), (23, 4)] {
        (0..4).for_each(|seed| world.apply(&Edit::Add { seed: seed + after }));
        world.apply(&Edit::Break { at: after, cut: after * 9 });
        world.apply(&Edit::Retell { at: after, words: after });
        world.apply(&Edit::Setting { which: 1, on: after % 2 == 1 });
        world.apply(&Edit::Interrupt { after });
        world.step();
        world.apply(&Edit::Recolour { at: after, seed: after });
        world.apply(&Edit::Break { at: after / 2, cut: 255 });
        world.apply(&Edit::Tell { at: after });
        world.apply(&Edit::Only { table });
        world.step();
    }
}

/// A run of one table takes an image out of it; the next run of another follows.
#[test]
fn tables_run_one_by_one_after_an_image_went() {
    let mut world = World::new();
    world.step();
    world.apply(&Edit::Only { table: 1 });
    world.apply(&Edit::Remove { at: 0 });
    world.step();
    world.apply(&Edit::Only { table: 2 });
    world.step();
}
