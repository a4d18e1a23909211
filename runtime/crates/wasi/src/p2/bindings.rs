//! The bindings of `wasi:cli/command` 0.2.12, generated from the WIT in `wit/`; they serve guests that import 0.2.0 to 0.2.12.
//! Owns no behaviour. `wasi:io` is `wasmtime-wasi-io`'s, whose streams and pollables are traits; everything else is ours, so
//! that nothing of the host can be linked by mistake.
#![expect(missing_docs, reason = "generated from WIT, whose text is the documentation")]

wasmtime::component::bindgen!({
    path: "wit",
    world: "wasi:cli/command@0.2.12",
    // no call here waits: what waits is in `wasi:io`
    imports: { default: trappable },
    exports: { default: async },
    require_store_data_send: true,
    trappable_error_type: {
        "wasi:filesystem/types.error-code" => crate::p2::filesystem::FsError,
        "wasi:sockets/network.error-code" => crate::p2::sockets::SocketError,
    },
    with: {
        "wasi:io": wasmtime_wasi_io::bindings::wasi::io,
        "wasi:filesystem/types.descriptor": crate::p2::filesystem::FileHandle,
        "wasi:filesystem/types.directory-entry-stream": crate::p2::filesystem::DirectoryStream,
        "wasi:sockets/network.network": crate::p2::sockets::Network,
        "wasi:sockets/tcp.tcp-socket": crate::p2::sockets::TcpHandle,
        "wasi:sockets/udp.udp-socket": crate::p2::sockets::UdpHandle,
        "wasi:sockets/udp.incoming-datagram-stream": crate::p2::sockets::IncomingDatagrams,
        "wasi:sockets/udp.outgoing-datagram-stream": crate::p2::sockets::OutgoingDatagrams,
        "wasi:sockets/ip-name-lookup.resolve-address-stream": crate::p2::sockets::ResolvedAddresses,
        "wasi:cli/terminal-input.terminal-input": crate::p2::cli::TerminalInput,
        "wasi:cli/terminal-output.terminal-output": crate::p2::cli::TerminalOutput,
    },
});

pub use self::wasi::{cli, clocks, filesystem, random, sockets};
