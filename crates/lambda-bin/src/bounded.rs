//! Text from outside, made fit to be shown: of bounded length, on one line.

/// `text` on one line, with at most `max` characters; an ellipsis says that there was more.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    if text.chars().nth(max).is_none() {
        return text.chars().map(plain).collect();
    }
    let kept = text.chars().map(plain).take(max.saturating_sub(1));
    kept.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn long_text_is_cut_with_an_ellipsis_and_line_ends_become_spaces() {
        assert_eq!(one_line("a\nb", 3), "a b");
        assert_eq!(one_line("grüße", 5), "grüße");
        assert_eq!(one_line("grüße!", 5), "grüß…");
    }
}
