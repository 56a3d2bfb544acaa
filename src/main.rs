use std::process::ExitCode;

fn main() -> ExitCode {
    match bakehouse::cli::run(std::env::args_os()) {
        Ok(end) => end.into(),
        Err(error) => {
            bakehouse::cli::complain(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}
