//! The `bulkhaul` program: arguments in, exit code out.

fn main() -> std::process::ExitCode {
    bulkhaul::cli::main()
}
