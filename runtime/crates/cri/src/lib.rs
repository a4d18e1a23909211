//! wasmpod cri
