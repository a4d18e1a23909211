//! Bad pointers and floods: they end the program or are refused, and are never silently ignored.

use proptest::prelude::*;
use wasmpod_wasi::p1::{GuestFault, MAX_IOVECS};

use crate::harness::{CREAT, MEMORY_SIZE, READ, Setup, WRITE, World, errno};

const END: u64 = MEMORY_SIZE as u64;

#[test]
fn pointers_out_of_memory_end_the_program() {
    let world = World::new();
    world.run(async {
        for (name, args) in [
            ("fd_write", vec![1, END - 4, 1, 64]),
            ("fd_write", vec![1, END - 8, 1, END]),
            ("fd_read", vec![3, END, 1, 64]),
            ("fd_read", vec![3, u64::from(u32::MAX) - 7, 1, 64]),
            ("fd_write", vec![1, 0, MAX_IOVECS as u64, END - 2]),
            ("fd_fdstat_get", vec![1, END - 16]),
            ("fd_filestat_get", vec![3, END - 56]),
            ("fd_prestat_get", vec![3, END - 4]),
            ("fd_prestat_dir_name", vec![4, END - 2, 64]),
            ("fd_tell", vec![3, END]),
            ("path_open", vec![3, 0, END - 1, 2, 0, READ, 0, 0, 64]),
            ("path_open", vec![3, 0, u64::from(u32::MAX), u64::from(u32::MAX), 0, READ, 0, 0, 64]),
            ("path_rename", vec![3, 0, 1, 3, END, 1]),
            ("path_symlink", vec![END, 1, 3, 0, 1]),
            ("clock_time_get", vec![1, 0, END - 4]),
            ("environ_sizes_get", vec![END, 0]),
            ("sock_accept", vec![1, 0, END]),
        ] {
            let mut program = world.program(Setup::default()).await;
            match program.try_call(name, &args).await {
                Err(error) => assert!(error.downcast_ref::<GuestFault>().is_some(), "{name}: {error:?}"),
                // what fails before it looks at the pointer
                Ok(code) => assert!(matches!(code, errno::BADF | errno::NOTSOCK), "{name} {args:?}: {code}"),
            }
        }
    });
}

#[test]
fn crooked_pointers_end_the_program() {
    let world = World::new();
    world.run(async {
        for (name, args) in [
            ("fd_write", vec![1, 66, 1, 64]),
            ("fd_write", vec![1, 64, 0, 66]),
            ("fd_filestat_get", vec![3, 68]),
            ("fd_fdstat_get", vec![3, 68]),
            ("fd_prestat_get", vec![3, 65]),
            ("clock_time_get", vec![1, 0, 68]),
            ("poll_oneoff", vec![68, 256, 1, 64]),
            ("args_get", vec![65, 256]),
        ] {
            let mut program = world.program(Setup::default()).await;
            let error = program.trap(name, &args).await;
            let fault = error.downcast_ref::<GuestFault>();
            assert!(matches!(fault, Some(GuestFault::Misaligned { .. })), "{name}: {error:?}");
        }
    });
}

#[test]
fn a_flood_of_buffers_is_refused_and_a_legal_one_is_paid_for() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let fd = program.open("tmp/f", CREAT, READ | WRITE, 0).await.unwrap();
        let (out, byte) = (program.room(4), program.put(b"x"));
        let most = MAX_IOVECS as usize;
        let iovecs = program.iovecs(&vec![(byte, 1); most + 1]);
        for name in ["fd_write", "fd_read"] {
            assert_eq!(program.call(name, &[fd.into(), iovecs, most as u64 + 1, out]).await, errno::INVAL);
            assert_eq!(program.call(name, &[fd.into(), iovecs, u64::from(u32::MAX), out]).await, errno::INVAL);
        }
        program.charged();
        program.ok("fd_write", &[fd.into(), iovecs, most as u64, out]).await;
        assert_eq!(program.get_u32(out) as usize, most);
        assert!(program.charged() > 5 * most as u64);
    });
}

#[test]
fn reading_over_the_array_of_buffers_is_the_programs_own_business() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let fd = program.open("tmp/f", CREAT, READ | WRITE, 0).await.unwrap();
        program.write(fd, &[0xff; 64]).await.unwrap();
        program.seek(fd, 0, 0).await.unwrap();
        let (array, out) = (program.room(16), program.room(4));
        let bytes: Vec<u8> = [array as u32, 16, array as u32, 16].iter().flat_map(|word| word.to_le_bytes()).collect();
        let again = program.put(&bytes);
        let iovecs = again;
        // the first buffer is the array itself: what it says after the first read is not looked at again
        program.ok("fd_read", &[fd.into(), iovecs, 2, out]).await;
        assert_eq!(program.get_u32(out), 32);
    });
}

#[test]
fn a_program_without_memory_is_told_so() {
    let engine = wasmtime::Engine::default();
    let mut linker = wasmtime::Linker::<crate::harness::State>::new(&engine);
    wasmpod_wasi::p1::add_to_linker(&mut linker).unwrap();
    let world = World::new();
    world.run(async {
        let text = r#"(module (import "wasi_snapshot_preview1" "fd_close" (func $f (param i32) (result i32)))
            (func (export "run") (result i32) (call $f (i32.const 0))))"#;
        let module = wasmtime::Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
        let ctx = wasmpod_wasi::Ctx::new(world.process(Setup::default()));
        let mut store = wasmtime::Store::new(&engine, crate::harness::State(ctx));
        let instance = linker.instantiate_async(&mut store, &module).await.unwrap();
        let run = instance.get_typed_func::<(), i32>(&mut store, "run").unwrap();
        let error = run.call_async(&mut store, ()).await.unwrap_err();
        assert_eq!(error.downcast_ref::<GuestFault>(), Some(&GuestFault::NoMemory));
    });
}

/// Calls that cannot wait, with how many arguments they take.
const PLAIN: &[(&str, usize)] = &[
    ("args_get", 2),
    ("environ_sizes_get", 2),
    ("clock_time_get", 3),
    ("fd_advise", 4),
    ("fd_fdstat_get", 2),
    ("fd_fdstat_set_flags", 2),
    ("fd_filestat_get", 2),
    ("fd_filestat_set_times", 4),
    ("fd_prestat_dir_name", 3),
    ("fd_prestat_get", 2),
    ("fd_pread", 5),
    ("fd_readdir", 5),
    ("fd_renumber", 2),
    ("fd_seek", 4),
    ("fd_tell", 2),
    ("path_create_directory", 3),
    ("path_filestat_get", 5),
    ("path_filestat_set_times", 7),
    ("path_link", 7),
    ("path_open", 9),
    ("path_readlink", 6),
    ("path_rename", 6),
    ("path_symlink", 5),
    ("path_unlink_file", 3),
    ("random_get", 2),
    ("sock_recv", 6),
    ("sock_shutdown", 2),
];

/// A number that is likely to be interesting: a descriptor, a place in memory, a length, a flag, anything.
fn argument() -> impl Strategy<Value = u64> {
    prop_oneof![
        0u64..8,
        Just(4096),
        Just(4104),
        END - 16..END + 16,
        Just(1 << 20),
        any::<u32>().prop_map(u64::from),
        any::<u64>()
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn no_arguments_hurt_the_host(calls in proptest::collection::vec((0..PLAIN.len(), proptest::collection::vec(argument(), 9)), 1..40)) {
        let world = World::new();
        world.run(async {
            let mut program = world.program(Setup { args: vec!["a", "b"], ..Setup::default() }).await;
            // texts and buffers for whoever points there
            program.put(b"tmp/a\0\0\0\x10\x20\0\0\x40\0\0\0etc/motd");
            program.process.fds.lock().remove(0).unwrap(); // nothing to wait for
            for (which, args) in calls {
                let (name, count) = PLAIN[which];
                match program.try_call(name, &args[..count]).await {
                    Ok(code) => prop_assert!(code <= 76, "{name}: {code}"),
                    Err(error) => {
                        prop_assert!(error.downcast_ref::<GuestFault>().is_some(), "{name}: {error:?}");
                        break;
                    }
                }
            }
            Ok(())
        })?;
    }
}
