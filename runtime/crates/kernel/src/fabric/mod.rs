//! fabric: being built
