//! netns: being built
