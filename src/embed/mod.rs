//! (room embed)
