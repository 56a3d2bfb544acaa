use std::process::ExitCode;

fn main() -> ExitCode {
    match bakehouse::cli::run(std::env::args_os()) {
        Ok(end) => end.into(),
        Err(error) => {
            eprintln!("Error: {error}");
            for hint in error.hints() {
                eprintln!("  try: {hint}");
            }
            ExitCode::from(error.kind().exit_code())
        }
    }
}
