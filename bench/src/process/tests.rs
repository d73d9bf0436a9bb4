use super::*;

#[test]
fn user_and_system_time_are_found() {
    let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 9 9 20 0 8 0 100 1 1";
    assert_eq!(times(stat, 100).unwrap(), [1500, 500].map(Duration::from_millis));
    assert_eq!(times(stat, 100).unwrap(), [1500, 500, 90, 90].map(Duration::from_millis));
    assert!(times::<2>("7 (a) S 1", 100).is_err());
}

#[test]
fn memory_is_read_by_its_name() {
    let status = "Name:\tpicker\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n";
    assert_eq!((memory(status, "VmHWM:").unwrap(), memory(status, "VmRSS:").unwrap()), (20_480, 10_240));
    assert!(memory(status, "VmSwap:").is_err());
}

#[test]
fn children_count() {
    let busy =
        "for i in 1 2 3; do sh -c 'i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done'; done; exec sleep 30";
    let mut shell = std::process::Command::new("sh").args(["-c", busy]).spawn().unwrap();
    let usage = Usage::of(shell.id());
    let began = std::time::Instant::now();
    while usage.cpu_of_all().unwrap() < usage.cpu().unwrap() + Duration::from_millis(30) {
        assert!(began.elapsed() < Duration::from_secs(30), "the children's time is missing");
        std::thread::sleep(Duration::from_millis(20));
    }
    shell.kill().unwrap();
    shell.wait().unwrap();
}
