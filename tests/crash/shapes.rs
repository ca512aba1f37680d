//! Data of several shapes, before and after an edit that touches every table.

use std::path::PathBuf;

use super::house::{self, House, Images, caption_lines, id, picture, pictures, put};
use super::tables::{self, Tables};

/// How the images are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Tar,
    /// One stream, which can only be read from its start.
    TarGz,
    Folder,
    /// Three archives, the middle one a stream.
    Several,
}

/// A data set whose store holds an old version, and whose inputs want a new one.
pub struct Shape {
    pub house: House,
    pub old: Tables,
    pub new: Tables,
    /// Rows that an undisturbed run computes, by table.
    pub computed: std::collections::BTreeMap<String, u64>,
}

/// What a shape is made of.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub packing: Packing,
    /// Images of the old version; none starts without a store.
    pub before: usize,
    pub after: usize,
    /// Whether some members, images and captions can become no row.
    pub bad: bool,
    /// Whether there are captions, their features, and examples.
    pub captions: bool,
    pub part_rows: usize,
}

impl Shape {
    /// Writes the data, makes the old version, edits the data, and learns what is to come.
    pub fn new(plan: Plan) -> Self {
        let house = House { dir: house::folder() };
        house.model(7);
        house.define(&definition(plan));
        if plan.before > 0 {
            fill(&house, plan, &pictures(plan.before), &caption_lines(plan.before));
            let report = house.run().unwrap();
            assert!(report.broken.is_empty(), "{:?}", report.broken);
        }
        let old = tables::read(&house.path("store"));
        let (images, lines) = edited(plan);
        fill(&house, plan, &images, &lines);
        let shape = Self { house, old, new: Tables::new(), computed: Default::default() };
        tables::restore(&shape.store(), &shape.kept());
        shape.learned(plan)
    }

    fn learned(mut self, plan: Plan) -> Self {
        let report = self.house.run().unwrap();
        assert!(report.broken.is_empty(), "{:?}", report.broken);
        self.computed =
            report.tables.iter().map(|made| (made.table.clone(), made.computed)).collect();
        self.new = tables::read(&self.store());
        for (name, rows) in self.old.iter().filter(|(name, _)| plan.bad || *name != "rejects") {
            assert_ne!(Some(rows), self.new.get(name), "the edit leaves {name} as it was");
        }
        let again = self.house.run().unwrap();
        assert!(again.is_up_to_date(), "again is nothing: {again:#?}");
        self.reset();
        self
    }

    pub fn store(&self) -> PathBuf {
        self.house.path("store")
    }

    fn kept(&self) -> PathBuf {
        self.house.path("store-before")
    }

    /// Puts the store back to the old version.
    pub fn reset(&self) {
        tables::restore(&self.kept(), &self.store());
    }
}

/// Changes two images, takes one out, adds many; and the captions with them.
fn edited(plan: Plan) -> (Images, Vec<String>) {
    let mut images = pictures(plan.after);
    let mut lines = caption_lines(plan.after);
    images[1].1 = picture(71);
    images[3].1 = picture(73);
    lines[4] = format!("{}.jpg#0\tanother story .", id(2));
    if plan.bad {
        images[5].1.truncate(200);
        images[6].1 = b"no image at all".to_vec();
        images.push((format!("again/{}.jpg", id(7)), picture(77)));
        lines.push("no caption at all".to_owned());
        lines.push(format!("{}.jpg#1\ttold twice .", id(8)));
    }
    if plan.before > 0 {
        images.remove(0);
    }
    (images, lines)
}

fn fill(house: &House, plan: Plan, images: &Images, lines: &[String]) {
    match plan.packing {
        Packing::Tar => house.images(images),
        Packing::TarGz => {
            put(&house.path("images.tar.gz"), &house::gz(&house::tar_of(images)));
        }
        Packing::Folder => {
            let folder = house.path("images");
            if folder.exists() {
                std::fs::remove_dir_all(&folder).unwrap();
            }
            for (name, bytes) in images {
                put(&folder.join(name), bytes);
            }
        }
        Packing::Several => {
            let third = images.len() / 3;
            let tar = |of: &[(String, Vec<u8>)]| house::tar_of(&of.to_vec());
            put(&house.path("a.tar"), &tar(&images[..third]));
            put(&house.path("b.tar.gz"), &house::gz(&tar(&images[third..2 * third])));
            put(&house.path("c.tar"), &tar(&images[2 * third..]));
        }
    }
    house.captions(lines);
}

fn definition(plan: Plan) -> String {
    let source = match plan.packing {
        Packing::Tar => "[sources.photos.tar]\npaths = \"images.tar\"",
        Packing::TarGz => "[sources.photos.tar]\npaths = \"images.tar.gz\"",
        Packing::Folder => "[sources.photos.folder]\npaths = \"images\"",
        Packing::Several => "[sources.photos.tar]\npaths = [\"a.tar\", \"b.tar.gz\", \"c.tar\"]",
    };
    let mut text = house::DEFINITION
        .replace("[sources.photos.tar]\npaths = \"images.tar\"", source)
        .replace("batch_size = 4", "batch_size = 2")
        .replace("store = \"store\"", &format!("store = \"store\"\npart_rows = {}", plan.part_rows))
        .replace(
            "captions = \"captions\"\nmodel = \"clip\"",
            "captions = \"captions\"\nmodel = \"clip\"\nbatch_size = 2",
        );
    if !plan.captions {
        let from = text.find("[stages.captions.").unwrap();
        text.truncate(from);
    }
    text
}
