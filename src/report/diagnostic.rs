//! What is wrong with a template, shown as rustc shows it: the line, underlined, and what to try.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use bakehouse_api::{Diagnostic, Diagnostics, Severity, SourceMap, Span};
use serde_json::json;

/// More than anyone reads, and each costs a walk through its file.
const SHOWN: usize = 100;

/// All findings in the order of the files, errors last so that they stay in sight.
pub fn render(diagnostics: &Diagnostics, sources: &SourceMap, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut sorted: Vec<&Diagnostic> = diagnostics.0.iter().collect();
    sorted.sort_by_key(|diagnostic| (diagnostic.severity, diagnostic.span));
    let mut text = String::new();
    let hidden = sorted.len().saturating_sub(SHOWN);
    if hidden > 0 {
        sorted.sort_by_key(|diagnostic| std::cmp::Reverse(diagnostic.severity));
    }
    for diagnostic in sorted.into_iter().take(SHOWN) {
        text.push_str(&renderer.render(&[group(diagnostic, sources)]));
        text.push_str("\n\n");
    }
    if hidden > 0 {
        text.push_str(&format!("and {hidden} more\n"));
    }
    text
}

fn group<'a>(diagnostic: &'a Diagnostic, sources: &'a SourceMap) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
    };
    let mut group = Group::with_title(level.primary_title(diagnostic.summary.as_str()));
    for snippet in snippets(diagnostic, sources) {
        group = group.element(snippet);
    }
    for note in diagnostic.detail.iter().chain(&diagnostic.values) {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    group
}

/// All findings for programs: the form that docs/reference/diagnostics.md describes.
pub fn json(diagnostics: &Diagnostics, sources: &SourceMap) -> serde_json::Value {
    let related = |(span, why): &(Span, String)| json!({ "range": range(*span, sources), "message": why });
    let finding = |diagnostic: &Diagnostic| {
        json!({
            "severity": match diagnostic.severity {
                Severity::Warning => "warning",
                Severity::Error => "error",
            },
            "summary": diagnostic.summary,
            "detail": diagnostic.detail,
            "values": diagnostic.values,
            "hint": diagnostic.hint,
            "range": diagnostic.span.and_then(|span| range(span, sources)),
            "related": diagnostic.related.iter().map(related).collect::<Vec<_>>(),
        })
    };
    let errors = diagnostics.errors();
    json!({
        "format_version": "1",
        "valid": errors == 0,
        "error_count": errors,
        "warning_count": diagnostics.0.len() - errors,
        "diagnostics": diagnostics.0.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn range(span: Span, sources: &SourceMap) -> Option<serde_json::Value> {
    let source = sources.get(span.file)?;
    let Range { start, end } = clamp(span, &source.text);
    let position = |at: usize| {
        let before = &source.text[..at];
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |tail| tail.chars().count()) + 1;
        json!({ "line": line, "column": column, "byte": at })
    };
    Some(json!({ "filename": source.path, "start": position(start), "end": position(end) }))
}

/// One snippet for each file that is involved, the file of the finding itself first.
fn snippets<'a>(
    diagnostic: &'a Diagnostic,
    sources: &'a SourceMap,
) -> Vec<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let primary = diagnostic.span.map(|span| (span, None));
    let related = diagnostic.related.iter().map(|(span, why)| (*span, Some(why.as_str())));
    let places: Vec<(Span, Option<&str>)> = primary.into_iter().chain(related).collect();
    let mut files = Vec::new();
    for (span, _) in &places {
        if !files.contains(&span.file) {
            files.push(span.file);
        }
    }
    let snippet = |file| {
        let source = sources.get(file)?;
        let annotations = places.iter().filter(|(span, _)| span.file == file).map(|(span, why)| {
            let range = clamp(*span, &source.text);
            match why {
                None => AnnotationKind::Primary.span(range),
                Some(why) => AnnotationKind::Context.span(range).label(*why),
            }
        });
        let path = source.path.to_string_lossy();
        Some(Snippet::source(source.text.as_str()).path(path).fold(true).annotations(annotations.collect::<Vec<_>>()))
    };
    files.into_iter().filter_map(snippet).collect()
}

/// Within the text and on character boundaries: the renderer panics otherwise.
fn clamp(span: Span, text: &str) -> Range<usize> {
    let floor = |at: u32| {
        let mut at = (at as usize).min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(span.start);
    start..floor(span.end).max(start)
}

#[cfg(test)]
mod tests {
    use bakehouse_api::{Diagnostic, Diagnostics, FileId, SourceMap, Span};

    use super::render;

    #[test]
    fn spans_out_of_range_do_no_harm() {
        let mut sources = SourceMap::default();
        let file = sources.add("a.pkr.hcl", "ä = 1\r\nb");
        let all = [(0, 0), (1, 1), (1, 2), (5, 2), (0, 99), (9, 9), (90, 99), (6, 8)].map(|(start, end)| {
            Diagnostic::error("wrong").at(Span { file, start, end }).related(Span { file, start: end, end: start }, "x")
        });
        let unknown = Diagnostic::warning("elsewhere").at(Span::new(FileId(7), 1, 2));
        let mut diagnostics = Diagnostics(all.to_vec());
        diagnostics.push(unknown);
        let text = render(&diagnostics, &sources, false);
        assert_eq!(text.matches("error: wrong").count(), 8);
        assert!(text.starts_with("warning: elsewhere"));
    }

    #[test]
    fn places_of_several_files_are_shown() {
        let mut sources = SourceMap::default();
        let (a, b) = (sources.add("a.pkr.hcl", "x = 1\n"), sources.add("b.pkr.hcl", "\n  x = 2\n"));
        let error = Diagnostic::error("`x` is set more than once")
            .at(Span::new(b, 3, 4))
            .related(Span::new(a, 0, 1), "first set here")
            .detail("only one of them can count")
            .hint("remove one");
        insta::assert_snapshot!(render(&error.into(), &sources, false), @"
        error: `x` is set more than once
         --> b.pkr.hcl:2:3
          |
        2 |   x = 2
          |   ^
          |
         ::: a.pkr.hcl:1:1
          |
        1 | x = 1
          | - first set here
          |
          = note: only one of them can count
          = help: remove one
        ");
    }

    #[test]
    fn programs_get_places_as_numbers() {
        let mut sources = SourceMap::default();
        let file = sources.add("a.pkr.hcl", "ä = 1\nb = ö\n");
        let mut error = Diagnostic::error("wrong").at(Span::new(file, 11, 13)).hint("try this");
        error.values.push("b is 1".into());
        let mut all = Diagnostics::from(error);
        all.push(Diagnostic::warning("nowhere"));
        let json = super::json(&all, &sources);
        assert_eq!((json["valid"].as_bool(), json["warning_count"].as_u64()), (Some(false), Some(1)));
        let first = &json["diagnostics"][0];
        assert_eq!(first["range"]["start"], serde_json::json!({ "line": 2, "column": 5, "byte": 11 }));
        assert_eq!(first["range"]["end"]["column"], 6);
        assert_eq!((first["hint"].as_str(), first["values"][0].as_str()), (Some("try this"), Some("b is 1")));
        assert!(json["diagnostics"][1]["range"].is_null());
    }

    #[test]
    fn colors_are_asked_for() {
        let sources = SourceMap::default();
        let error = Diagnostics::from(Diagnostic::error("wrong"));
        assert!(render(&error, &sources, true).contains('\u{1b}'));
        assert!(!render(&error, &sources, false).contains('\u{1b}'));
    }
}
