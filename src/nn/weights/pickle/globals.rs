//! The globals that a weight file may name, and what is made of a call to one.

use crate::base::{Error, Kind, Result};
use crate::nn::weights::Element;

/// A name that is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::nn::weights) enum Global {
    /// `torch.FloatStorage` and its kin.
    Storage(Element),
    /// A storage of a type that no model computes with.
    OtherStorage,
    /// `torch._utils._rebuild_tensor`, `_rebuild_tensor_v2`.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`: its first argument is the tensor.
    RebuildParameter,
    /// `torch._tensor._rebuild_from_type_v2`: a call, handed over as its parts.
    RebuildFromType,
    /// `collections.OrderedDict`, `dict`.
    Dict,
    /// `set`, `torch.Size`, TorchScript's typed lists: one list of items.
    Items,
    /// TorchScript's `restore_type_tag`: its first argument.
    First,
    /// A class of TorchScript, taken as a container of attributes.
    ScriptClass,
    /// `torch.device`, `torch.float32`, `torch.Tensor`: named, of no consequence.
    Inert,
}

impl Global {
    /// Refuses what is neither a tensor nor a container.
    pub(super) fn named(module: &str, name: &str) -> Result<Self> {
        Ok(match (module, name) {
            ("torch", "FloatStorage") => Self::Storage(Element::F32),
            ("torch", "HalfStorage") => Self::Storage(Element::F16),
            ("torch", "BFloat16Storage") => Self::Storage(Element::Bf16),
            ("torch", "DoubleStorage") => Self::Storage(Element::F64),
            ("torch", "LongStorage") => Self::Storage(Element::I64),
            ("torch", "IntStorage") => Self::Storage(Element::I32),
            ("torch", "ShortStorage") => Self::Storage(Element::I16),
            ("torch", "CharStorage") => Self::Storage(Element::I8),
            ("torch", "ByteStorage") => Self::Storage(Element::U8),
            ("torch", "BoolStorage") => Self::Storage(Element::Bool),
            (
                "torch",
                "ComplexFloatStorage"
                | "ComplexDoubleStorage"
                | "QInt8Storage"
                | "QUInt8Storage"
                | "QInt32Storage",
            )
            | ("torch.storage", "UntypedStorage" | "TypedStorage") => Self::OtherStorage,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch._tensor", "_rebuild_from_type_v2") => Self::RebuildFromType,
            ("collections", "OrderedDict") | ("builtins" | "__builtin__", "dict") => Self::Dict,
            ("builtins" | "__builtin__", "set" | "frozenset" | "list" | "tuple")
            | ("torch", "Size")
            | (
                "torch.jit._pickle",
                "build_intlist" | "build_doublelist" | "build_boollist" | "build_tensorlist",
            ) => Self::Items,
            ("torch.jit._pickle", "restore_type_tag") => Self::First,
            ("torch", "device" | "Tensor")
            | ("torch.nn.parameter", "Parameter")
            | (
                "torch",
                "float32" | "float64" | "float16" | "bfloat16" | "int64" | "int32" | "int16"
                | "int8" | "uint8" | "bool",
            ) => Self::Inert,
            (module, _) if module == "__torch__" || module.starts_with("__torch__.") => {
                Self::ScriptClass
            }
            (module, name) => return Err(refused(module, name)),
        })
    }
}

/// The error for a global that is not understood.
pub(super) fn refused(module: &str, name: &str) -> Error {
    Error::new(
        Kind::BadInput,
        format!("its pickle names `{module}.{name}`, which is neither a tensor nor a container"),
    )
    .help(
        "nothing in a weight file is ever executed; save the model's state_dict() alone, or as \
         safetensors",
    )
}
