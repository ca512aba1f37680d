//! CSV and TSV with named columns, quoted or not, any delimiter.

use std::collections::VecDeque;
use std::io::{self, BufRead};
use std::str::Utf8Error;

use super::collector::{Collector, Found};
use super::record::Records;
use crate::base::units::Bytes;
use crate::base::{Error, Kind, Result};
use crate::flow::{RejectClass, Split};
use crate::plan::source::CaptionFormat;
use crate::sources::lines::Lines;
use crate::sources::names::Named;

/// Most lines of one record: a quote that is never closed costs no more than this.
const MAX_RECORD_LINES: usize = 1024;

/// Which field is what.
struct Columns {
    /// The delimiter, where nothing is quoted.
    unquoted: Option<String>,
    count: usize,
    image: usize,
    text: usize,
    index: Option<usize>,
    split: Option<usize>,
}

/// A row's lines, as they were read.
struct Row {
    offset: u64,
    raw: Vec<u8>,
    fields: Vec<Vec<u8>>,
}

pub(super) fn read(
    reader: &mut dyn BufRead,
    member: &str,
    cap_bytes: u64,
    format: &CaptionFormat,
    out: &mut Collector<'_>,
) -> Result<io::Result<()>> {
    let mut rows = Rows::of(reader, member, cap_bytes, format)?;
    let columns = match rows.header(format, member, out)? {
        Ok(columns) => columns,
        Err(cause) => return Ok(Err(cause)),
    };
    while !out.is_closed() {
        match rows.next_row(member, out) {
            Ok(Some(row)) => columns.add(row, member, out),
            Ok(None) => break,
            Err(cause) => return Ok(Err(cause)),
        }
    }
    Ok(Ok(()))
}

/// Reads the names of the columns only.
pub(super) fn probe(
    reader: &mut dyn BufRead,
    member: &str,
    cap_bytes: u64,
    format: &CaptionFormat,
    out: &mut Collector<'_>,
) -> Result<io::Result<()>> {
    let mut rows = Rows::of(reader, member, cap_bytes, format)?;
    Ok(rows.header(format, member, out)?.map(|_| ()))
}

struct Rows<'a> {
    lines: Lines<'a>,
    /// Lines that are to be read once more, behind a quote that was never closed.
    again: VecDeque<(u64, Vec<u8>)>,
    records: Records,
    cap_bytes: u64,
}

impl<'a> Rows<'a> {
    fn of(
        reader: &'a mut dyn BufRead,
        member: &str,
        cap_bytes: u64,
        format: &CaptionFormat,
    ) -> Result<Self> {
        let CaptionFormat::Csv { delimiter, quoted, .. } = format else {
            return Err(Error::new(Kind::Internal, "is read as a table and is none").at(member));
        };
        if delimiter.is_empty() {
            return Err(
                Error::new(Kind::Definition, "a delimiter has at least one byte").at(member)
            );
        }
        Ok(Self {
            lines: Lines::new(reader, cap_bytes),
            again: VecDeque::new(),
            records: Records::new(delimiter, *quoted),
            cap_bytes,
        })
    }

    /// The first row: it names the columns.
    fn header(
        &mut self,
        format: &CaptionFormat,
        member: &str,
        out: &mut Collector<'_>,
    ) -> Result<io::Result<Columns>> {
        match self.next_row(member, out) {
            Ok(Some(row)) => Columns::find(&row.fields, format, member).map(Ok),
            Ok(None) => Err(Error::new(Kind::BadInput, "has no row of column names").at(member)),
            Err(cause) => Ok(Err(cause)),
        }
    }

    fn line(
        &mut self,
        member: &str,
        out: &mut Collector<'_>,
    ) -> io::Result<Option<(u64, Vec<u8>)>> {
        if let Some(line) = self.again.pop_front() {
            return Ok(Some(line));
        }
        while let Some(line) = self.lines.next_line()? {
            if !line.over {
                return Ok(Some((line.offset, line.bytes.to_vec())));
            }
            let why = format!("it is longer than the cap of {}", Bytes(self.cap_bytes));
            out.reject(member, line.offset, None, RejectClass::OverCap, why, None);
        }
        Ok(None)
    }

    fn next_row(&mut self, member: &str, out: &mut Collector<'_>) -> io::Result<Option<Row>> {
        loop {
            let Some((offset, first)) = self.line(member, out)? else { return Ok(None) };
            if first.trim_ascii().is_empty() {
                continue;
            }
            if let Some(fields) = self.records.feed(&first) {
                return Ok(Some(Row { offset, raw: first, fields }));
            }
            let mut held = vec![(offset, first)];
            let mut size = 0_u64;
            while held.len() < MAX_RECORD_LINES && size <= self.cap_bytes {
                let Some(line) = self.line(member, out)? else { break };
                size += line.1.len() as u64;
                let fields = self.records.feed(&line.1);
                held.push(line);
                if let Some(fields) = fields {
                    let lines: Vec<&[u8]> = held.iter().map(|(_, line)| line.as_slice()).collect();
                    return Ok(Some(Row { offset, raw: lines.join(&b'\n'), fields }));
                }
            }
            // the first line is at fault; those behind it may be good rows
            self.records.reset();
            let mut held = held.into_iter();
            if let Some((offset, first)) = held.next() {
                let why = "it opens a quote that is never closed".to_string();
                out.bad_line(member, offset, None, why, &first);
            }
            for line in held.rev() {
                self.again.push_front(line);
            }
        }
    }
}

impl Columns {
    fn find(fields: &[Vec<u8>], format: &CaptionFormat, member: &str) -> Result<Self> {
        let names: Vec<String> =
            fields.iter().map(|field| String::from_utf8_lossy(field).trim().to_string()).collect();
        let find = |wanted: &String| {
            let mut of_name = (0..names.len()).filter(|at| names.get(*at) == Some(wanted));
            let wrong = |what: String| {
                let help = format!("its columns are: {}", names.join(", "));
                Error::new(Kind::BadInput, what).at(member).help(help)
            };
            match (of_name.next(), of_name.next()) {
                (Some(at), None) => Ok(at),
                (None, _) => Err(wrong(format!("has no column `{wanted}`"))),
                (Some(_), Some(_)) => {
                    Err(wrong(format!("has more than one column `{wanted}`: which is meant?")))
                }
            }
        };
        let CaptionFormat::Csv { image, text, index, split, delimiter, quoted } = format else {
            return Err(Error::new(Kind::Internal, "is read as a table and is none").at(member));
        };
        Ok(Self {
            unquoted: (!quoted).then(|| delimiter.clone()),
            count: names.len(),
            image: find(image)?,
            text: find(text)?,
            index: index.as_ref().map(find).transpose()?,
            split: split.as_ref().map(find).transpose()?,
        })
    }

    fn add(&self, mut row: Row, member: &str, out: &mut Collector<'_>) {
        // without quotes a delimiter inside the last column is part of it
        if let Some(delimiter) = &self.unquoted
            && row.fields.len() > self.count
            && self.count > 0
        {
            let last = row.fields.split_off(self.count - 1);
            row.fields.push(last.join(delimiter.as_bytes()));
        }
        let (offset, raw) = (row.offset, row.raw.as_slice());
        let field = |at: usize| row.fields.get(at).map(|field| std::str::from_utf8(field));
        let name = field(self.image).and_then(|name| Some((name.ok()?.trim(), Named::Text)));
        if row.fields.len() != self.count {
            let why = format!("expected {} fields, got {}", self.count, row.fields.len());
            // which field is which is known of the first only
            return out.bad_line(member, offset, name.filter(|_| self.image == 0), why, raw);
        }
        // an empty field counts as none; one that is no text must not
        let optional = |at: Option<usize>| {
            let value = at.and_then(field).transpose()?;
            Ok::<_, Utf8Error>(value.map(str::trim).filter(|value| !value.is_empty()))
        };
        let (Some((image, named)), Some(Ok(text)), Ok(index), Ok(split)) =
            (name, field(self.text), optional(self.index), optional(self.split))
        else {
            let why = "it is no UTF-8".to_string();
            let id = name.and_then(|(name, named)| out.id_of(name, named));
            return out.reject(member, offset, id, RejectClass::BadText, why, Some(raw));
        };
        let index = match index.map(str::parse::<i32>) {
            Some(Ok(index)) if index >= 0 => Some(index),
            None => None,
            _ => {
                let why = "its caption's number is none".to_string();
                return out.bad_line(member, offset, name, why, raw);
            }
        };
        let split = match split.map(str::parse::<Split>).transpose() {
            Ok(split) => split,
            Err(why) => return out.bad_line(member, offset, name, why, raw),
        };
        out.add(member, &Found { image, named, index, text, split, offset, raw, item: None });
    }
}
