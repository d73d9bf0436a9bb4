//! A decision for people.

use std::fmt::Write as _;

use serde_json::Value;

/// `decision`, the JSON of a page, as text.
pub(super) fn table(decision: &Value) -> String {
    let mut text = String::new();
    head(&mut text, decision);
    let steps = decision["steps"].as_array().map_or(&[][..], Vec::as_slice);
    let mut scorers = Vec::new();
    for step in steps {
        if let Some(name) = step["profile"].as_str() {
            line(&mut text, format_args!("\nprofile {}{}", plain(name), took(step)));
            scorers.clear();
        } else if let Some(name) = step["screener"].as_str() {
            removed(&mut text, "screener", name, step);
        } else if let Some(name) = step["filter"].as_str() {
            removed(&mut text, "  filter", name, step);
        } else if step["scorer"].is_string() {
            scorers.push(step);
        } else if step["picker"].is_string() {
            picked(&mut text, &scorers, step);
        } else if let Some(failing) = step["ejected"].as_array() {
            let what = if step["applied"] == true {
                "fail, and are left out"
            } else {
                "fail, and are used all the same"
            };
            line(&mut text, format_args!("  {} {what}", list(failing)));
        } else if step["edits"].is_object() {
            edits(&mut text, step);
        }
    }
    text
}

/// Adds a line.
fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing into a text does not fail.
    let _ = writeln!(text, "{what}");
}

fn head(text: &mut String, decision: &Value) {
    for (name, field) in [("request id", "requestId"), ("model", "model")] {
        if let Some(value) = decision[field].as_str() {
            line(text, format_args!("{name:<11}{}", plain(value)));
        }
    }
    let at = decision["at"].as_str().unwrap_or("");
    let revision = decision["revision"].as_str().unwrap_or("");
    let decided = format!("{:<11}{}{}", "decided", plain(at), took(decision));
    line(text, format_args!("{}", decided.trim_end()));
    line(text, format_args!("{:<11}{}", "revision", plain(revision)));
    match (decision["endpoint"].as_str(), decision["refused"].as_str()) {
        (Some(endpoint), _) => {
            let address = decision["address"].as_str().unwrap_or("");
            line(text, format_args!("{:<11}{} ({})", "goes to", plain(endpoint), plain(address)));
        }
        (None, reason) => line(text, format_args!("{:<11}{}", "refused", plain(reason.unwrap_or("")))),
    }
    let candidates = decision["candidates"].as_array().map_or(0, Vec::len);
    line(text, format_args!("{:<11}{candidates}", "candidates"));
}

fn removed(text: &mut String, role: &str, name: &str, step: &Value) {
    let left = step["remaining"].as_array().map_or(0, Vec::len);
    let gone = step["removed"].as_array().map_or(&[][..], Vec::as_slice);
    line(text, format_args!("{role} {} leaves {left} of {}{}", plain(name), left + gone.len(), took(step)));
    for one in gone {
        let why = one["why"].as_str().unwrap_or("");
        let endpoint = plain(one["endpoint"].as_str().unwrap_or("?"));
        let row = format!("      - {endpoint}  {}{}", plain(why), inputs(one));
        line(text, format_args!("{}", row.trim_end()));
    }
}

/// A row for each candidate, the best first.
fn picked(text: &mut String, scorers: &[&Value], step: &Value) {
    let totals = step["totals"].as_array().map_or(&[][..], Vec::as_slice);
    let chosen = step["picked"].as_array().map_or(&[][..], Vec::as_slice);
    let ties = step["ties"].as_array().map_or(&[][..], Vec::as_slice);
    let mut rows = vec![vec!["ENDPOINT".to_owned()]];
    for scorer in scorers {
        let name = plain(scorer["scorer"].as_str().unwrap_or("?"));
        rows[0].push(format!("{name} × {}", rounded(&scorer["weight"])));
    }
    rows[0].extend(["TOTAL".to_owned(), String::new()]);
    let place = |endpoint: &Value| chosen.iter().position(|other| other == endpoint).unwrap_or(usize::MAX);
    let total = |n: usize| totals[n]["total"].as_f64().unwrap_or(f64::NEG_INFINITY);
    let mut order: Vec<usize> = (0..totals.len()).collect();
    order.sort_by(|&a, &b| {
        let places = place(&totals[a]["endpoint"]).cmp(&place(&totals[b]["endpoint"]));
        places.then(total(b).total_cmp(&total(a)))
    });
    for n in order {
        let endpoint = &totals[n]["endpoint"];
        let mut row = vec![plain(endpoint.as_str().unwrap_or("?"))];
        for scorer in scorers {
            // All steps of a profile have its candidates in one order.
            let score = &scorer["scores"][n];
            row.push(format!("{}{}", rounded(&score["score"]), inputs(score)));
        }
        row.push(rounded(&totals[n]["total"]));
        let notes = [(chosen.contains(endpoint), "picked"), (ties.contains(endpoint), "tie")];
        row.push(notes.iter().filter(|(is, _)| *is).map(|(_, note)| *note).collect::<Vec<_>>().join(", "));
        rows.push(row);
    }
    grid(text, &rows);
    let name = plain(step["picker"].as_str().unwrap_or("?"));
    line(text, format_args!("  picker {name} picks {}{}", list(chosen), took(step)));
}

/// The rows with columns of one width each.
fn grid(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        line(text, format_args!("    {}", cells.collect::<Vec<_>>().join("  ").trim_end()));
    }
}

fn edits(text: &mut String, step: &Value) {
    line(
        text,
        format_args!(
            "\ndestination is that of profile {}",
            plain(step["destination"].as_str().unwrap_or("?"))
        ),
    );
    for (name, value) in step["edits"].as_object().into_iter().flatten() {
        match value {
            Value::Object(headers) => headers.iter().for_each(|(header, value)| {
                let value = plain(value.as_str().unwrap_or(""));
                line(text, format_args!("  sets {}: {value}", plain(header)));
            }),
            other => line(text, format_args!("  {}: {}", plain(name), plain(&other.to_string()))),
        }
    }
}

/// What was read, in brackets.
fn inputs(of: &Value) -> String {
    let Some(inputs) = of["inputs"].as_object() else { return String::new() };
    let known = inputs.iter().map(|(name, value)| match value {
        Value::Null => format!("{} ?", plain(name)),
        value => format!("{} {}", plain(name), rounded(value)),
    });
    format!(" [{}]", known.collect::<Vec<_>>().join(", "))
}

fn took(step: &Value) -> String {
    step["tookMicroseconds"].as_f64().map_or_else(String::new, |took| format!(", {took:.1} µs"))
}

fn list(names: &[Value]) -> String {
    names.iter().map(|name| plain(name.as_str().unwrap_or("?"))).collect::<Vec<_>>().join(", ")
}

/// The number with four digits behind the point at most.
fn rounded(number: &Value) -> String {
    match number.as_f64() {
        Some(number) => ((number * 1e4).round() / 1e4).to_string(),
        None => "?".to_owned(),
    }
}

/// The text without what a terminal would take for a command: clients choose ids and names of models.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
