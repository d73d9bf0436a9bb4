//! LoRA adapters of a vLLM server: which are in use, and how many.

use super::*;

fn info(running: &str, waiting: &str, time: f64) -> String {
    format!(
        "vllm:lora_requests_info{{max_lora=\"2\",running_lora_adapters=\"{running}\",waiting_lora_adapters=\"{waiting}\"}} {time:e}\n"
    )
}

/// What each of these pages of one server says.
fn states(pages: &[String]) -> Vec<Option<Arc<LoraState>>> {
    let mut scanner = Scanner::new(everything());
    let mut read = |page: &String| {
        scanner.feed(page.as_bytes());
        scanner.finish(&[]).lora
    };
    pages.iter().map(&mut read).collect()
}

#[test]
fn an_adapter_in_both_lists_is_one() {
    let one = |running, waiting| of(&info(running, waiting, 1.76e9)).lora;
    assert_eq!(one("sql", "sql"), lora(2, &["sql"], &[]));
    assert_eq!(one("sql,chat,sql", "chat,code,code"), lora(2, &["sql", "chat"], &["code"]));
    assert_eq!(one("", "sql"), lora(2, &[], &["sql"]));
}

/// As a server with two API servers wrote it while "sql" ran.
#[test]
fn of_several_api_servers_what_was_written_last_counts_and_not_the_largest_sum() {
    let page = |sql: f64, none: f64, chat: f64, running: u32| {
        let series = [info("sql", "sql", sql), info("", "", none), info("chat", "chat", chat)].concat();
        format!(
            "{series}vllm:num_requests_running{{engine=\"0\"}} {running}\nvllm:num_requests_waiting{{engine=\"0\"}} 0\n"
        )
    };
    let (sql, none, chat) = (3.5914577338616123e9, 3.591457834095139e9, 3.591457664619317e9);
    let pages = [
        // Which of them is the last can't be told.
        page(sql, none, chat, 1),
        page(sql + 0.05, none, chat, 1),
        // A step takes longer than the time between two pages.
        page(sql + 0.05, none, chat, 1),
        // One API server has nothing to do, and says so; or has other requests.
        page(sql + 0.1, none + 0.05, chat, 1),
        page(sql + 0.15, none + 0.05, chat + 0.1, 2),
        page(sql + 0.2, none + 0.1, chat + 0.1, 0),
    ];
    let [sql, both, none] = [lora(2, &["sql"], &[]), lora(2, &["sql", "chat"], &[]), lora(2, &[], &[])];
    assert_eq!(states(&pages), [None, sql.clone(), sql.clone(), sql, both, none]);
}

#[test]
fn a_series_that_is_new_was_written_and_a_page_without_any_says_nothing() {
    let sums = |running: &[(&str, f64)]| -> String {
        running.iter().map(|(names, time)| info(names, names, *time)).collect()
    };
    let pages = [
        sums(&[("a", 3.5e9)]),
        sums(&[("a", 3.5e9), ("a,b", 1.8e9)]),
        String::new(),
        sums(&[("a", 3.6e9)]),
        sums(&[("a", 3.6e9), ("c", 1.8e9)]),
    ];
    let expected = [None, lora(2, &["a", "b"], &[]), None, None, lora(2, &["c"], &[])];
    assert_eq!(states(&pages), expected);
    // One clock needs no page before, and a change between two pages shows the last state alone.
    let pages = [sums(&[("a", 1.7e9), ("b", 1.8e9)]), sums(&[("a", 1.9e9), ("b", 1.8e9), ("c", 2.0e9)])];
    assert_eq!(states(&pages), [lora(2, &["b"], &[]), lora(2, &["c"], &[])]);
}

/// What a page costs grows as its length does, whatever it says.
#[test]
fn twice_as_many_series_take_twice_as_much() {
    let page = |series: usize, time: f64| -> String {
        (0..series)
            .map(|n| {
                let name = |kind: &str| format!("{kind}-{n}-with-a-long-name");
                info(&name("running"), &name("waiting"), time + n as f64)
            })
            .collect()
    };
    let taken = |series: usize| {
        let mut scanner = Scanner::new(everything());
        scanner.feed(page(series, 3e9).as_bytes());
        scanner.finish(&[]);
        let page = page(series, 4e9);
        let info = allocation_counter::measure(|| {
            scanner.feed(page.as_bytes());
            let lora = scanner.finish(&[]).lora.unwrap();
            assert_eq!((lora.running.len(), lora.waiting.len()), (series, series));
        });
        (info.count_total, info.bytes_total)
    };
    let ((count, bytes), (counts, all)) = (taken(400), taken(800));
    assert!(
        counts < 5 * count / 2 && all < 5 * bytes / 2,
        "{counts} after {count}, {all} after {bytes} bytes"
    );
}
