//! `throng-tune watch`

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use throng_tune::exit::{Exit, Fatal};
use throng_tune::host::Host;
use throng_tune::watch::{News, Watch, fetch};

use super::arguments::WatchOptions;

/// One look for each interval; what is news is told, and that there is none as well.
pub(crate) fn run(options: &WatchOptions, out: &mut impl Write) -> Result<Exit, Fatal> {
    let wrong = |error: throng_tune::profile::ProfileError| {
        Fatal::new(Exit::Configuration, error.to_string())
    };
    let watch = Watch::new().map_err(wrong)?;
    let host = Host::at(&options.root);
    let start = Instant::now();
    let mut before = watch.sample(&host, &metrics(options)?);
    tell(out, start, &watch.so_far(&before))?;
    let mut exit = Exit::Fine;
    let mut looks = 0;
    while options.count.is_none_or(|count| looks < count) {
        thread::sleep(Duration::from_millis(options.interval_ms));
        let after = watch.sample(&host, &metrics(options)?);
        let news = watch.news(&before, &after);
        tell(out, start, &news)?;
        if !news.is_empty() {
            exit = Exit::Advice;
        }
        before = after;
        looks += 1;
    }
    Ok(exit)
}

fn metrics(options: &WatchOptions) -> Result<String, Fatal> {
    let Some(url) = &options.metrics else { return Ok(String::new()) };
    fetch(url).map_err(|error| Fatal::new(Exit::Unreadable, format!("{url}: {error}")))
}

fn tell(out: &mut impl Write, start: Instant, news: &[News]) -> Result<(), Fatal> {
    let seconds = start.elapsed().as_secs();
    if news.is_empty() {
        writeln!(out, "{seconds:>5} s  nothing")?;
    }
    for News { name, amount, means, action } in news {
        writeln!(out, "{seconds:>5} s  {name} {amount}: {means}\n         do: {action}")?;
    }
    out.flush()?;
    Ok(())
}
