//! Entry point: parses the command line, runs one verb, turns its outcome into an exit code.
fn main() -> std::process::ExitCode {
    // SAFETY: no other thread runs yet.
    unsafe { gan_gpu::gpu::hush_device_select_layer() };
    gan_gpu::cli::main()
}
