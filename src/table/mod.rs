//! (room table)
