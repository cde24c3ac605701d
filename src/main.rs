//! Entry point: parses the command line, runs one verb, turns its outcome into an exit code.
fn main() -> std::process::ExitCode {
    gan_gpu::cli::main()
}
