//! Which files belong to a template, and reading them.

use std::path::{Path, PathBuf};

use bakehouse_api::{Diagnostic, FileId};

use super::load::Session;
use super::parser::parse_file;
use super::syntax::Body;

/// The template's files, parsed, and the files with values of variables, in the order in which
/// later ones win.
#[derive(Default)]
pub struct Files {
    pub bodies: Vec<Body>,
    pub values: Vec<ValueFile>,
}

pub struct ValueFile {
    pub path: PathBuf,
    pub file: FileId,
    pub text: String,
}

/// None when the template itself cannot be found.
pub fn read(session: &mut Session<'_>) -> Option<Files> {
    let request = session.request;
    let full = request.cwd.join(&request.path);
    let mut files = Files::default();
    if full.is_dir() {
        let names = list(session, &full)?;
        let ending =
            |suffix: &str| names.iter().filter(move |name| name.ends_with(suffix)).cloned().collect::<Vec<_>>();
        let templates = [ending(".pkr.hcl"), ending(".pkr.json")].concat();
        if templates.is_empty() {
            let error = Diagnostic::error(format!("there is no template in {}", request.path.display()));
            session.diagnostics.push(error.hint("a template is made of files called *.pkr.hcl or *.pkr.json"));
            return None;
        }
        // "x.pkr.hcl" reads better than "./x.pkr.hcl".
        let dir = if request.path == Path::new(".") { Path::new("") } else { &request.path };
        templates.iter().for_each(|name| read_template(session, &dir.join(name), &mut files));
        for name in [ending(".auto.pkrvars.hcl"), ending(".auto.pkrvars.json")].concat() {
            read_values(session, &dir.join(name), &mut files);
        }
    } else {
        read_template(session, &request.path, &mut files);
    }
    request.var_files.iter().for_each(|path| read_values(session, path, &mut files));
    Some(files)
}

/// The names of the files in a folder, sorted.
fn list(session: &mut Session<'_>, dir: &Path) -> Option<Vec<String>> {
    let names = std::fs::read_dir(dir).and_then(|entries| {
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect::<std::io::Result<Vec<_>>>()
    });
    match names {
        Ok(mut names) => {
            names.retain(|name| !dir.join(name).is_dir());
            names.sort();
            Some(names)
        }
        Err(error) => {
            session.diagnostics.push(Diagnostic::error(format!("cannot read the folder {}: {error}", dir.display())));
            None
        }
    }
}

fn read_template(session: &mut Session<'_>, path: &Path, files: &mut Files) {
    let Some((file, text)) = session.read(path, "the template") else { return };
    let (body, diagnostics) = if path.to_string_lossy().ends_with(".json") {
        super::json::parse_body(file, &text)
    } else {
        parse_file(file, &text)
    };
    session.diagnostics.extend(diagnostics);
    files.bodies.push(body);
}

fn read_values(session: &mut Session<'_>, path: &Path, files: &mut Files) {
    if let Some((file, text)) = session.read(path, "the file of variables") {
        files.values.push(ValueFile { path: path.to_owned(), file, text });
    }
}
