//! (room caption)
