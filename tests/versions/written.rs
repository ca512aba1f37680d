//! How much a small change writes.

use std::sync::atomic::Ordering;

use clipmill::table::CommitNote;

use super::room::{Room, Rows};

#[test]
fn one_changed_row_writes_less_than_a_hundredth_of_the_table() {
    const PARTS: usize = 160;
    const PART_ROWS: usize = 64;
    const WIDTH: usize = 512;
    let room = Room::new();
    let mut state = 1_u64;
    let mut number = || {
        // Knuth's MMIX generator: bytes that do not compress, as those of features do not
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 16_777_216.0
    };
    let mut parts = Vec::new();
    let mut first = Rows::new();
    for part in 0..PARTS {
        let rows: Rows = (0..PART_ROWS)
            .map(|n| {
                let vector = (0..WIDTH).map(|_| number()).collect();
                ((format!("{:08}", part * PART_ROWS + n), 0), (Some("a caption".into()), vector))
            })
            .collect();
        parts.push(room.stage(&rows));
        if part == 0 {
            first = rows;
        }
    }
    let note = CommitNote { operation: "test".into(), ..CommitNote::default() };
    room.publish(Vec::new(), parts, note.clone());
    let table: u64 = room.now().parts().iter().map(|part| part.size_bytes).sum();
    for change in 0..3 {
        let before = room.written.0.load(Ordering::SeqCst);
        let old = room.now().parts()[0].path.clone();
        first.values_mut().next().unwrap().1[0] = change as f32;
        let part = room.stage(&first);
        room.publish(vec![old], vec![part], note.clone());
        let written = room.written.0.load(Ordering::SeqCst) - before;
        assert!(written > 0 && written * 100 <= table, "{written} of {table} bytes");
    }
    assert_eq!(room.now().parts().len(), PARTS);
}
