use clap::CommandFactory;

use super::*;

fn serve(args: &[&str]) -> ServeArgs {
    let Command::Serve(serve) = Cli::try_parse_from([&["sim", "serve"], args].concat()).unwrap().command;
    *serve
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn flags_change_single_numbers_of_the_preset() {
    let args = serve(&["--preset", "32b-2xh100", "--kv-blocks", "7", "--jitter", "0.5", "--lora", "a,b"]);
    let mut expected = Preset::H100x32b.config();
    expected.num_blocks = 7;
    expected.rates.jitter = 0.5;
    let server = &args.servers()[0];
    assert_eq!((&server.engine, server.loras.as_slice()), (&expected, &["a".to_owned(), "b".to_owned()][..]));
}

#[test]
fn replicas_have_names_and_seeds_of_their_own() {
    let servers = serve(&["--replicas", "2", "--name", "x", "--seed", "5"]).servers();
    let names: Vec<(&str, u64)> = servers.iter().map(|server| (server.name.as_str(), server.seed)).collect();
    assert_eq!(names, [("x-0", 5), ("x-1", 6)]);
    assert_eq!(serve(&["--name", "x"]).servers()[0].name, "x");
}

#[test]
fn durations_have_units() {
    assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(duration("1.5"), Ok(Duration::from_millis(1_500)));
    assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
    assert!(duration("5h").unwrap_err().contains("unknown unit"));
    assert!(duration("-1s").is_err());
}
