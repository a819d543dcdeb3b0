//! puna-gpu
