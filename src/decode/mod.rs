//! (room decode)
