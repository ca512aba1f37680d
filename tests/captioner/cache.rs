//! Keys and values kept give what whole texts give.

use candle_core::{DType, Device, Tensor};

use crate::{gpt2, off};

fn ids() -> Tensor {
    let ids: Vec<u32> = (0..24).map(|i| (i * 29 + 3) % 67).collect();
    Tensor::from_vec(ids, (3, 8), &Device::Cpu).unwrap()
}

#[test]
fn a_few_tokens_at_a_time_give_the_states_of_the_whole() {
    let gpt2 = gpt2(false);
    let embeds = gpt2.embed(&ids()).unwrap();
    let mask =
        Tensor::new(&[[0_u8, 0, 0, 1, 1, 1, 1, 1], [1; 8], [0, 1, 1, 1, 1, 1, 1, 1]], &Device::Cpu)
            .unwrap();
    for mask in [None, Some(&mask)] {
        let whole = gpt2.hidden(&embeds, mask, None).unwrap();
        for parts in [vec![5, 1, 1, 1], vec![8], vec![4, 3, 1]] {
            let mut cache = gpt2.cache(3, 10).unwrap();
            let mut at = 0;
            for part in parts {
                let new = embeds.narrow(1, at, part).unwrap();
                let mask = mask.map(|mask| mask.narrow(1, at, part).unwrap());
                let got = gpt2.hidden(&new, mask.as_ref(), Some(&mut cache)).unwrap();
                at += part;
                let last = |x: &Tensor| x.narrow(1, x.dim(1).unwrap() - 1, 1).unwrap();
                let want = last(&whole.narrow(1, 0, at).unwrap());
                assert!(off(&last(&got), &want) < 1e-5, "up to {at}");
            }
            assert_eq!((cache.len(), cache.rows(), cache.capacity()), (8, 3, 10));
        }
    }
}

#[test]
fn rows_can_be_chosen_again() {
    let gpt2 = gpt2(false);
    let embeds = gpt2.embed(&ids()).unwrap();
    let mut cache = gpt2.cache(3, 8).unwrap();
    gpt2.hidden(&embeds.narrow(1, 0, 5).unwrap(), None, Some(&mut cache)).unwrap();
    cache.select(&[2, 0, 0, 1]).unwrap();
    let rows = Tensor::new(&[2_u32, 0, 0, 1], &Device::Cpu).unwrap();
    let chosen = embeds.index_select(&rows, 0).unwrap();
    let got = gpt2.hidden(&chosen.narrow(1, 5, 3).unwrap(), None, Some(&mut cache)).unwrap();
    let whole = gpt2.hidden(&chosen, None, None).unwrap();
    assert!(off(&got, &whole.narrow(1, 5, 3).unwrap()) < 1e-5);
    assert!(cache.select(&[4]).unwrap_err().to_string().contains("row 4"));
}

#[test]
fn more_tokens_than_room_or_positions_are_refused() {
    let gpt2 = gpt2(false);
    let embeds = gpt2.embed(&ids()).unwrap();
    let mut cache = gpt2.cache(3, 7).unwrap();
    let error = gpt2.hidden(&embeds, None, Some(&mut cache)).unwrap_err().to_string();
    assert!(error.contains("room for 7"), "{error}");
    assert!(gpt2.cache(1, 41).unwrap_err().to_string().contains("40 positions"));
    let long = Tensor::zeros((1, 41), DType::U32, &Device::Cpu).unwrap();
    let error = gpt2.hidden(&gpt2.embed(&long).unwrap(), None, None).unwrap_err().to_string();
    assert!(error.contains("40"), "{error}");
}
