//! An answer in the formats that programs read: all rows, no value cut.

use std::io::{self, Write};

use polars::prelude::{
    AnyValue, CompatLevel, IpcWriter, ParquetWriter, PolarsResult, SerWriter, Series,
};

use super::answer::Answer;
use super::cell;
use crate::base::{Error, Result};

/// A format for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON array of row objects.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// CSV after RFC 4180 with a header: NULL is an empty field, an empty text is `""`, lists are
    /// JSON.
    Csv,
    /// A Parquet file.
    Parquet,
    /// An Arrow IPC file.
    Arrow,
}

impl Answer {
    /// Writes the whole answer.
    ///
    /// JSON: integers have all their digits, also beyond 2⁵³; NaN, infinities and NULL are
    /// `null`; timestamps are RFC 3339 and bytes hexadecimal texts.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, format: Format, out: &mut dyn Write) -> Result<()> {
        match format {
            Format::Json => self.json(out).map_err(failed),
            Format::Jsonl => self.jsonl(out).map_err(failed),
            Format::Csv => self.csv(out).map_err(failed),
            Format::Parquet => self.parquet(out).map_err(|cause| failed(io::Error::other(cause))),
            Format::Arrow => self.arrow(out).map_err(|cause| failed(io::Error::other(cause))),
        }
    }

    fn series(&self) -> Vec<&Series> {
        self.frame.columns().iter().map(|column| column.as_materialized_series()).collect()
    }

    fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"[")?;
        self.objects(out, b",\n", b"\n")?;
        out.write_all(b"]\n")
    }

    fn jsonl(&self, out: &mut dyn Write) -> io::Result<()> {
        self.objects(out, b"\n", b"")?;
        if self.rows() > 0 {
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn objects(&self, out: &mut dyn Write, between: &[u8], around: &[u8]) -> io::Result<()> {
        let series = self.series();
        let keys = series
            .iter()
            .map(|series| serde_json::to_string(series.name().as_str()))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..self.rows() {
            out.write_all(if row == 0 { around } else { between })?;
            out.write_all(b"{")?;
            for (at, (series, key)) in series.iter().zip(&keys).enumerate() {
                if at > 0 {
                    out.write_all(b",")?;
                }
                out.write_all(key.as_bytes())?;
                out.write_all(b":")?;
                cell::json(out, &series.get(row).map_err(io::Error::other)?)?;
            }
            out.write_all(b"}")?;
        }
        if self.rows() > 0 {
            out.write_all(around)?;
        }
        Ok(())
    }

    fn csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let series = self.series();
        for (at, series) in series.iter().enumerate() {
            separate(out, at)?;
            field(out, series.name())?;
        }
        out.write_all(b"\r\n")?;
        for row in 0..self.rows() {
            for (at, series) in series.iter().enumerate() {
                separate(out, at)?;
                match series.get(row).map_err(io::Error::other)? {
                    AnyValue::Null => {}
                    value if value.dtype().is_nested() => {
                        let mut json = Vec::new();
                        cell::json(&mut json, &value)?;
                        field(out, &String::from_utf8_lossy(&json))?;
                    }
                    value => field(out, &cell::text(&value))?,
                }
            }
            out.write_all(b"\r\n")?;
        }
        Ok(())
    }

    fn parquet(&self, out: &mut dyn Write) -> PolarsResult<()> {
        ParquetWriter::new(out).finish(&mut self.frame.clone()).map(drop)
    }

    fn arrow(&self, out: &mut dyn Write) -> PolarsResult<()> {
        // Types without views: readers of before 2024 know them.
        IpcWriter::new(out).with_compat_level(CompatLevel::oldest()).finish(&mut self.frame.clone())
    }
}

fn failed(cause: io::Error) -> Error {
    Error::io("cannot write the answer", "output", cause)
}

fn separate(out: &mut dyn Write, at: usize) -> io::Result<()> {
    if at > 0 { out.write_all(b",") } else { Ok(()) }
}

fn field(out: &mut dyn Write, text: &str) -> io::Result<()> {
    if text.is_empty() || text.contains(['"', ',', '\n', '\r']) {
        write!(out, "\"{}\"", text.replace('"', "\"\""))
    } else {
        out.write_all(text.as_bytes())
    }
}
