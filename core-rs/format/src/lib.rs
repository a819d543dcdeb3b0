//! puna-format
