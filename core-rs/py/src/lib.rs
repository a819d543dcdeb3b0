//! puna-py
