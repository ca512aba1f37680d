//! Small whole files of every kind that is read, made here.

use std::io::{Cursor, Write as _};

use ::image::{DynamicImage, ImageFormat, RgbImage};
use clipmill::decode::encode_jpeg;
use clipmill::flow::Pixels;
use clipmill::sources::write::{TarWriter, gzip, zstd};
use zip::write::SimpleFileOptions;

const TOKENS: &str = "1000092795.jpg#0\tTwo young guys .\n1000092795.jpg#1\tTwo men outside\n\
                      10002456#zhb#0 \u{4e24} \u{53ea} \u{72d7}\n10002456\t\u{1f415} outside\n";

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut to = gzip(Vec::new());
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

/// Tars of GNU, PAX and ustar headers, with links, long names and a sparse file.
pub fn tars() -> Vec<Vec<u8>> {
    let mut ours = TarWriter::new(Vec::new());
    ours.directory("photos", 0).unwrap();
    ours.file("photos/1.jpg", &[7; 700], 1_386_000_000).unwrap();
    ours.symlink("photos/2.jpg", "/etc/passwd", 0).unwrap();
    ours.file(&format!("photos/{}.jpg", "n".repeat(150)), b"long", 0).unwrap();
    let ours = ours.finish().unwrap();

    let mut theirs = ::tar::Builder::new(Vec::new());
    theirs.append_pax_extensions([("path", &b"photos/pax.jpg"[..]), ("size", b"5")]).unwrap();
    let mut header = ::tar::Header::new_ustar();
    header.set_size(5);
    header.set_cksum();
    theirs.append_data(&mut header, "short.jpg", &b"12345"[..]).unwrap();
    let theirs = theirs.into_inner().unwrap();

    let mut sparse = ::tar::Header::new_gnu();
    sparse.set_path("sparse.jpg").unwrap();
    sparse.set_entry_type(::tar::EntryType::GNUSparse);
    sparse.set_size(512);
    if let Some(gnu) = sparse.as_gnu_mut() {
        gnu.sparse[0].offset.copy_from_slice(b"00000002000\0");
        gnu.sparse[0].numbytes.copy_from_slice(b"00000001000\0");
        gnu.realsize.copy_from_slice(b"00000003000\0");
    }
    sparse.set_cksum();
    let mut with_holes = sparse.as_bytes().to_vec();
    with_holes.extend([9; 512]);
    with_holes.extend([0; 1024]);
    vec![ours, theirs, with_holes]
}

/// Caption files of each layout, plain and packed.
pub fn captions() -> Vec<Vec<u8>> {
    let mut tar = TarWriter::new(Vec::new());
    tar.file("results_20130124.token", TOKENS.as_bytes(), 0).unwrap();
    tar.file("1.txt", b"a dog\n", 0).unwrap();
    tar.file("1.json", br#"{"caption": "a dog"}"#, 0).unwrap();
    let tar = tar.finish().unwrap();
    let mut packed = zstd(Vec::new()).unwrap();
    packed.write_all(&tar).unwrap();
    let coco = r#"{"images": [{"id": 9, "file_name": "9.jpg"}],
                   "annotations": [{"image_id": 9, "id": 1, "caption": "a cat"}]}"#;
    let karpathy = r#"{"images": [{"filename": "1.jpg", "split": "val", "sentids": [0],
                      "sentences": [{"raw": "a cat .", "sentid": 0}]}], "dataset": "flickr"}"#;
    vec![
        TOKENS.into(),
        b"a,b\n1.jpg,\"two, dogs \"\"here\"\"\"\n2.jpg,cat\n".to_vec(),
        b"a| n| b\n1.jpg| 0| two dogs .\n".to_vec(),
        coco.into(),
        karpathy.into(),
        gz(&tar),
        packed.finish().unwrap(),
        zipped(&[("captions.token", TOKENS.as_bytes())]),
        tar,
    ]
}

/// A picture in every format.
pub fn images() -> Vec<Vec<u8>> {
    let (width_px, height_px) = (23_u32, 17_u32);
    let drawn = RgbImage::from_fn(width_px, height_px, |x, y| {
        let byte = |n: u32| u8::try_from(n % 256).unwrap();
        ::image::Rgb([byte(x * 11), byte(y * 15), byte(x * y)])
    });
    let data = drawn.as_raw().clone();
    let drawn = DynamicImage::ImageRgb8(drawn);
    let encode = |picture: &DynamicImage, format| {
        let mut to = Cursor::new(Vec::new());
        picture.write_to(&mut to, format).unwrap();
        to.into_inner()
    };
    let rgba: DynamicImage = drawn.to_rgba8().into();
    vec![
        encode_jpeg(&Pixels { width_px, height_px, data }, 90).unwrap(),
        encode(&drawn, ImageFormat::Png),
        encode(&drawn.to_luma16().into(), ImageFormat::Png),
        encode(&rgba, ImageFormat::WebP),
        encode(&rgba, ImageFormat::Gif),
        encode(&drawn, ImageFormat::Bmp),
        encode(&drawn, ImageFormat::Tiff),
        encode(&drawn.to_luma8().into(), ImageFormat::Jpeg),
    ]
}

/// Safetensors and PyTorch's zip.
pub fn weights() -> Vec<Vec<u8>> {
    let numbers: Vec<u8> = (0..6_u8).flat_map(|n| f32::from(n).to_le_bytes()).collect();
    let header = br#"{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}       "#;
    let mut safetensors = (header.len() as u64).to_le_bytes().to_vec();
    safetensors.extend(header);
    safetensors.extend(&numbers);
    let pickled = pickle();
    let torch = zipped(&[
        ("archive/data.pkl", &pickled),
        ("archive/byteorder", b"little"),
        ("archive/data/0", &numbers),
        ("archive/version", b"3\n"),
    ]);
    assert!(clipmill::nn::weights::Weights::from_bytes(&safetensors).is_ok());
    let read = clipmill::nn::weights::Weights::from_bytes(&torch).unwrap();
    assert_eq!(read.get("w").unwrap().to_f32().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    vec![safetensors, torch]
}

/// `{"w": tensor of 2 x 3}` as `torch.save` pickles it, protocol 2.
fn pickle() -> Vec<u8> {
    let text = |text: &str| {
        let mut bytes = vec![b'X'];
        bytes.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes
    };
    [
        b"\x80\x02}q\x00".to_vec(),
        text("w"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text("0"),
        text("cpu"),
        // Six numbers in the storage; offset 0, shape (2, 3), strides (3, 1), no gradient.
        b"K\x06tQK\x00K\x02K\x03\x86K\x03K\x01\x86\x89ccollections\nOrderedDict\n)RtRs.".to_vec(),
    ]
    .concat()
}

/// Definitions and contracts, good and bad.
pub fn definitions() -> Vec<Vec<u8>> {
    vec![
        include_bytes!("../../src/cli/demo/pipeline.toml").to_vec(),
        include_bytes!("../definitions/broken.toml").to_vec(),
        include_bytes!("../../schemas/captions.toml").to_vec(),
        b"{000..031}.tar,{a,b}/{1..9}".to_vec(),
    ]
}

fn zipped(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in members {
        zip.start_file(*name, stored).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
