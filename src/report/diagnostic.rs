//! What is wrong with a template, shown as rustc shows it: the line, underlined, and what to try.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use bakehouse_api::{Diagnostic, Diagnostics, Severity, SourceMap, Span};

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
    if let Some(detail) = &diagnostic.detail {
        group = group.element(Level::NOTE.message(detail.as_str()));
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    group
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
    fn colors_are_asked_for() {
        let sources = SourceMap::default();
        let error = Diagnostics::from(Diagnostic::error("wrong"));
        assert!(render(&error, &sources, true).contains('\u{1b}'));
        assert!(!render(&error, &sources, false).contains('\u{1b}'));
    }
}
