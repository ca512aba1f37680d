//! The stack machine of a pickle.

use std::collections::BTreeMap;

use super::calls::Given;
use super::globals::{Global, refused};
use super::input::Input;
use super::value::{Arena, Id, Value};
use crate::base::{Error, Kind, Result};

/// Reads one pickle from the start of `bytes`; gives its value and how many bytes it took.
pub(in crate::nn::weights) fn read(bytes: &[u8], arena: &mut Arena) -> Result<(Id, usize)> {
    let mut machine = Machine {
        input: Input { bytes, at: 0 },
        arena,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
    };
    loop {
        if let Some(id) = machine.step()? {
            return Ok((id, machine.input.at));
        }
    }
}

struct Machine<'a> {
    input: Input<'a>,
    arena: &'a mut Arena,
    stack: Vec<Id>,
    /// Height of the stack at each open mark.
    marks: Vec<usize>,
    memo: BTreeMap<usize, Id>,
}

fn bad(what: impl Into<String>) -> Error {
    Error::new(Kind::BadInput, what)
}

impl Machine<'_> {
    /// One instruction; the pickle's value at its end.
    fn step(&mut self) -> Result<Option<Id>> {
        let at = self.input.at;
        let opcode = self.input.byte()?;
        match opcode {
            0x80 => drop(self.input.byte()?),
            0x95 => drop(self.input.array::<8>()?),
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'p' | b'q' | b'r' | 0x94 => self.put(opcode)?,
            b'g' | b'h' | b'j' => self.recall(opcode)?,
            b']' | 0x8f => self.push(Value::List(Vec::new()))?,
            b'l' | 0x91 => {
                let items = self.pop_mark()?;
                self.push(Value::List(items))?;
            }
            b')' => self.push(Value::Tuple(Vec::new()))?,
            b't' => {
                let items = self.pop_mark()?;
                self.push(Value::Tuple(items))?;
            }
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.push(Value::Tuple(items))?;
            }
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b'd' => {
                let items = self.pop_mark()?;
                let pairs = pairs(&items)?;
                self.push(Value::Dict(pairs))?;
            }
            b'a' => {
                let items = self.pop_many(1)?;
                self.extend(&items)?;
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.extend(&items)?;
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.insert(&items)?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.insert(&items)?;
            }
            b'c' => {
                let module = self.input.line()?;
                let name = self.input.line()?;
                self.push(Value::Global(Global::named(module, name)?))?;
            }
            0x93 => {
                let parts = self.pop_many(2)?;
                let text = |id: Option<&Id>| id.and_then(|id| self.arena.text(*id));
                let (Some(module), Some(name)) = (text(parts.first()), text(parts.get(1))) else {
                    return Err(bad("its pickle names a global by something that is no text"));
                };
                let global = Global::named(module, name)?;
                self.push(Value::Global(global))?;
            }
            b'i' => return Err(refused(self.input.line()?, self.input.line()?)),
            b'R' | 0x81 => self.call()?,
            b'b' => self.build()?,
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id))?;
            }
            other => match self.literal(other)? {
                Some(value) => self.push(value)?,
                None => {
                    return Err(bad(format!(
                        "its pickle has the instruction {other:#04x} at byte {at}, which weight \
                         files do not use"
                    )));
                }
            },
        }
        Ok(None)
    }

    /// Numbers and texts.
    fn literal(&mut self, opcode: u8) -> Result<Option<Value>> {
        let input = &mut self.input;
        Ok(Some(match opcode {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(i32::from_le_bytes(input.array()?).into()),
            b'K' => Value::Int(input.byte()?.into()),
            b'M' => Value::Int(u16::from_le_bytes(input.array()?).into()),
            b'I' | b'L' => match input.line()?.trim_end_matches('L') {
                "00" => Value::Bool(false),
                "01" => Value::Bool(true),
                digits => Value::Int(
                    digits.parse().map_err(|cause| bad("an odd integer").caused_by(cause))?,
                ),
            },
            0x8a | 0x8b => {
                let length =
                    if opcode == 0x8a { input.byte()?.into() } else { input.length_u32()? };
                long(input.take(length)?)
            }
            b'F' => Value::Float(
                input.line()?.parse().map_err(|cause| bad("an odd number").caused_by(cause))?,
            ),
            b'G' => Value::Float(f64::from_be_bytes(input.array()?)),
            b'S' => Value::Text(input.line()?.trim_matches(['\'', '"']).into()),
            b'V' => Value::Text(input.line()?.into()),
            b'X' | b'T' => {
                let length = input.length_u32()?;
                Value::Text(input.text(length)?.into())
            }
            0x8c | b'U' => {
                let length = input.byte()?.into();
                Value::Text(input.text(length)?.into())
            }
            0x8d => {
                let length = input.length_u64()?;
                Value::Text(input.text(length)?.into())
            }
            b'B' | b'C' | 0x8e => {
                let length = match opcode {
                    b'B' => input.length_u32()?,
                    b'C' => input.byte()?.into(),
                    _ => input.length_u64()?,
                };
                Value::Bytes(input.take(length)?.to_vec())
            }
            _ => return Ok(None),
        }))
    }

    fn push(&mut self, value: Value) -> Result<()> {
        let id = self.arena.add(value)?;
        self.stack.push(id);
        Ok(())
    }

    /// The lowest place of the stack that the open mark leaves free to take.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id> {
        let open = self.stack.get(self.floor()..).unwrap_or_default();
        open.last().copied().ok_or_else(|| bad("its pickle takes more than it put"))
    }

    fn pop(&mut self) -> Result<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>> {
        let start = self.stack.len().checked_sub(count).filter(|start| *start >= self.floor());
        let start = start.ok_or_else(|| bad("its pickle takes more than it put"))?;
        Ok(self.stack.split_off(start))
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| bad("its pickle lacks a mark"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn put(&mut self, opcode: u8) -> Result<()> {
        let place = match opcode {
            b'p' => self.memo_name()?,
            b'q' => self.input.byte()?.into(),
            b'r' => self.input.length_u32()?,
            _ => self.memo.len(),
        };
        let top = self.top()?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, opcode: u8) -> Result<()> {
        let place = match opcode {
            b'g' => self.memo_name()?,
            b'h' => self.input.byte()?.into(),
            _ => self.input.length_u32()?,
        };
        let id =
            self.memo.get(&place).ok_or_else(|| bad("its pickle recalls what it never put"))?;
        self.stack.push(*id);
        Ok(())
    }

    fn memo_name(&mut self) -> Result<usize> {
        self.input.line()?.parse().map_err(|cause| bad("an odd memo").caused_by(cause))
    }

    fn extend(&mut self, items: &[Id]) -> Result<()> {
        match self.top().map(|id| self.arena.get_mut(id))? {
            Some(Value::List(list)) => {
                list.extend(items);
                Ok(())
            }
            _ => Err(bad("its pickle appends to something that is no list")),
        }
    }

    fn insert(&mut self, items: &[Id]) -> Result<()> {
        let new = pairs(items)?;
        match self.top().map(|id| self.arena.get_mut(id))? {
            Some(Value::Dict(dict)) => {
                dict.extend(new);
                Ok(())
            }
            _ => Err(bad("its pickle sets a key of something that is no dict")),
        }
    }

    fn call(&mut self) -> Result<()> {
        let args = self.pop()?;
        let callee = self.pop()?;
        let Value::Global(global) = *self.arena.get(callee) else {
            return Err(bad("its pickle calls something that is no global"));
        };
        let Value::Tuple(args) = self.arena.get(args) else {
            return Err(bad("its pickle calls with something that is no tuple"));
        };
        match global.call(self.arena, args)? {
            Given::New(value) => self.push(value),
            Given::Same(id) => {
                self.stack.push(id);
                Ok(())
            }
        }
    }

    /// State for an object: kept for TorchScript's, dropped for containers (`_metadata` of a
    /// state dict) and tensors (their Python attributes).
    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        let object = self.top()?;
        match self.arena.get_mut(object) {
            Some(Value::Object(attributes)) => *attributes = Some(state),
            Some(Value::Dict(_) | Value::List(_) | Value::Tensor(_)) => {}
            _ => return Err(bad("its pickle gives state to something that has none")),
        }
        Ok(())
    }
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(bad("its pickle has a key without a value"));
    }
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}

/// A little-endian integer of any length.
fn long(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::Long(bytes.to_vec());
    }
    let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    for (slot, byte) in wide.iter_mut().zip(bytes) {
        *slot = *byte;
    }
    Value::Int(i64::from_le_bytes(wide))
}
