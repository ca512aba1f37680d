//! (room query)
