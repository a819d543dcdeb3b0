//! puna-text
