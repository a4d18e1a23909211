//! The functions that a core module may import, with what each parameter means, and random values of that meaning.

use arbitrary::{Result as Input, Unstructured};

/// The program's memory, in bytes.
pub(super) const MEMORY: u64 = 4 * 65536;
/// Where the paths and names are, one each [`TEXT`] bytes.
pub(super) const TEXTS_AT: u64 = 1024;
/// Room for a text.
pub(super) const TEXT: u64 = 32;
/// The texts.
pub(super) const TEXTS: [&str; 20] = [
    "a",
    "b",
    "a/b",
    ".",
    "..",
    "a/",
    "tmp/f",
    "tmp/l",
    "data/x",
    "etc/motd",
    "app.conf",
    "www/index.html",
    "nowhere",
    "../../etc/passwd",
    "/etc/motd",
    "dev/null",
    "dev/stdout",
    "/q",
    "/s",
    "a\0b",
];
/// Where the lists of buffers are.
pub(super) const IOVECS_AT: u64 = 4096;
/// Lists of buffers: pointer and length.
pub(super) const IOVECS: [(u32, u32); 10] = [
    (65536, 10),
    (65536, 0),
    (70000, 70_000),
    (131_072, 131_072),
    (0, 4096),
    (4096, 64),
    (262_140, 4),
    (262_140, 5),
    (u32::MAX, 1),
    (65536, u32::MAX),
];
/// Where subscriptions of `poll_oneoff` are made.
pub(super) const SUBSCRIPTIONS_AT: u64 = 8192;

/// One function: its module, its name, and a letter for each parameter. `f` descriptor, `t` text and its length (two parameters), `v`
/// list of buffers and its length (two), `p` pointer, `n` number, `N` 64-bit number, `s` subscriptions, `F` flags, `R` rights.
pub(super) struct Function(pub(super) &'static str, pub(super) &'static str);

/// Preview 1.
pub(super) const PREVIEW_1: &[Function] = &[
    Function("args_get", "pp"),
    Function("args_sizes_get", "pp"),
    Function("environ_get", "pp"),
    Function("environ_sizes_get", "pp"),
    Function("clock_res_get", "Fp"),
    Function("clock_time_get", "FNp"),
    Function("fd_advise", "fNNF"),
    Function("fd_allocate", "fNN"),
    Function("fd_close", "f"),
    Function("fd_datasync", "f"),
    Function("fd_fdstat_get", "fp"),
    Function("fd_fdstat_set_flags", "fF"),
    Function("fd_fdstat_set_rights", "fRR"),
    Function("fd_filestat_get", "fp"),
    Function("fd_filestat_set_size", "fN"),
    Function("fd_filestat_set_times", "fNNF"),
    Function("fd_pread", "fvNp"),
    Function("fd_prestat_get", "fp"),
    Function("fd_prestat_dir_name", "fpn"),
    Function("fd_pwrite", "fvNp"),
    Function("fd_read", "fvp"),
    Function("fd_readdir", "fpnNp"),
    Function("fd_renumber", "ff"),
    Function("fd_seek", "fNFp"),
    Function("fd_sync", "f"),
    Function("fd_tell", "fp"),
    Function("fd_write", "fvp"),
    Function("path_create_directory", "ft"),
    Function("path_filestat_get", "fFtp"),
    Function("path_filestat_set_times", "fFtNNF"),
    Function("path_link", "fFtft"),
    Function("path_open", "fFtFRRFp"),
    Function("path_open", "fFtFRRFp"),
    Function("path_open", "fFtFRRFp"),
    Function("path_readlink", "ftpnp"),
    Function("path_remove_directory", "ft"),
    Function("path_rename", "ftft"),
    Function("path_symlink", "tft"),
    Function("path_unlink_file", "ft"),
    Function("poll_oneoff", "spnp"),
    Function("proc_raise", "n"),
    Function("sched_yield", ""),
    Function("random_get", "pn"),
    Function("sock_accept", "fFp"),
    Function("sock_recv", "fvFpp"),
    Function("sock_send", "fvFp"),
    Function("sock_shutdown", "fF"),
];

/// The pod's IPC.
pub(super) const IPC: &[Function] = &[
    Function("mq_open", "tFnnnp"),
    Function("mq_unlink", "t"),
    Function("mq_getattr", "fp"),
    Function("mq_notify", "fp"),
    Function("sem_open", "tFnnp"),
    Function("sem_unlink", "t"),
    Function("sem_trywait", "f"),
    Function("sem_post", "f"),
    Function("sem_getvalue", "fp"),
    Function("shm_open", "tFnp"),
    Function("shm_unlink", "t"),
    Function("shm_set_size", "fN"),
    Function("shm_size", "fp"),
    Function("shm_add32", "fNnp"),
    Function("shm_add64", "fNNp"),
    Function("shm_cas32", "fNnnp"),
    Function("shm_cas64", "fNNNp"),
    Function("shm_notify", "fNnp"),
    Function("shm_watch", "fNnp"),
    Function("mq_send", "fpnnN"),
    Function("mq_receive", "fpnNpp"),
    Function("sem_wait", "fN"),
    Function("shm_read", "fNpnp"),
    Function("shm_write", "fNpn"),
    Function("shm_wait", "fNnN"),
];

impl Function {
    /// The types of its parameters as the text format has them.
    pub(super) fn types(&self) -> Vec<&'static str> {
        let types = |kind| match kind {
            'N' | 'R' => &["i64"][..],
            't' | 'v' => &["i32", "i32"],
            _ => &["i32"],
        };
        self.1.chars().flat_map(types).copied().collect()
    }

    /// Values for its parameters, most of them sensible.
    pub(super) fn arguments(&self, u: &mut Unstructured<'_>) -> Input<Vec<u64>> {
        let mut values = Vec::new();
        for kind in self.1.chars() {
            match kind {
                'f' if u.ratio(1, 30)? => values.push(u64::from(u.arbitrary::<u32>()?)),
                'f' => values.push(u.int_in_range(0..=14)?),
                't' => {
                    let text = u.choose_index(TEXTS.len())?;
                    let length = TEXTS[text].len() as u64;
                    let length = if u.ratio(1, 30)? { number(u)? } else { length };
                    values.extend([TEXTS_AT + text as u64 * TEXT, length]);
                }
                'v' => {
                    let from = u.choose_index(IOVECS.len())?;
                    let count = if u.ratio(1, 30)? {
                        number(u)?
                    } else {
                        u.int_in_range(0..=(IOVECS.len() - from).min(3) as u64)?
                    };
                    values.extend([IOVECS_AT + from as u64 * 8, count]);
                }
                'p' => values.push(pointer(u)?),
                's' => values.push(SUBSCRIPTIONS_AT),
                'F' if u.ratio(1, 30)? => values.push(u64::from(u.arbitrary::<u32>()?)),
                'F' => values.push(u.int_in_range(0..=15)?),
                'R' if u.arbitrary()? => values.push(u64::MAX),
                'R' => values.push(u.arbitrary()?),
                'N' => values.push(match u.int_in_range(0..=5)? {
                    0 => 0,
                    1 => u64::MAX,
                    2 => u.arbitrary()?,
                    3 => i64::MAX as u64,
                    _ => u.int_in_range(0..=100_000)?,
                }),
                _ => values.push(number(u)?),
            }
        }
        Ok(values)
    }
}

fn number(u: &mut Unstructured<'_>) -> Input<u64> {
    Ok(match u.int_in_range(0..=9)? {
        0 => u64::from(u32::MAX),
        1 => u64::from(u.arbitrary::<u32>()?),
        2 | 3 => u.int_in_range(0..=70_000)?,
        _ => u.int_in_range(0..=16)?,
    })
}

/// Where results go: mostly somewhere good, at times over what later calls read, at the end of the memory or beyond.
fn pointer(u: &mut Unstructured<'_>) -> Input<u64> {
    Ok(match u.int_in_range(0..=15)? {
        0 => MEMORY - u.int_in_range(0..=64)?,
        1 => u64::from(u.arbitrary::<u32>()?),
        2 => u.int_in_range(0..=16_384)?,
        3 => u64::from(u32::MAX) - u.int_in_range(0..=64)?,
        at => 65_536 + at * 256,
    })
}
