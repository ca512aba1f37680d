//! Contracts of tables.
