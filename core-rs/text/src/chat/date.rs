//! The date, for `strftime_now`. UTC, as far as the caller does not say otherwise.

use std::fmt::Write;

/// Seconds since 1970; 0 where there is no clock.
pub(super) fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |t| i64::try_from(t.as_secs()).unwrap_or(0))
}

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

#[rustfmt::skip]
const MONTHS: [&str; 12] = [
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
];

/// A moment, taken apart.
struct Date {
    year: i64,
    month: usize, // 0..12
    day: i64,     // 1..=31
    day_of_year: i64,
    weekday: usize, // 0 = Sunday
    seconds: i64,   // of the day
}

/// Civil calendar from days since 1970 (H. Hinnant, "chrono-compatible low-level date algorithms").
fn date(time: i64) -> Date {
    // A thousand centuries either way: beyond that nothing is a date.
    let time = time.clamp(-3_155_760_000_000, 3_155_760_000_000);
    let days = time.div_euclid(86_400);
    let z = days + 719_468; // days since 0000-03-01
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * from_march + 2) / 153;
    let month = (month_from_march + 2) % 12;
    let year = year_of_era + era * 400 + i64::from(month < 2);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let day_of_year = if month < 2 {
        from_march - 306
    } else {
        from_march + 59 + i64::from(leap)
    };
    Date {
        year,
        month: month as usize,
        day: from_march - (153 * month_from_march + 2) / 5 + 1,
        day_of_year: day_of_year + 1,
        weekday: (days + 4).rem_euclid(7) as usize,
        seconds: time.rem_euclid(86_400),
    }
}

/// C's `strftime` in the C locale; a `-` after `%` takes padding away. Unknown letters stay as they
/// are.
pub(super) fn strftime(format: &str, time: i64) -> String {
    let date = date(time);
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('-') => match chars.next() {
                Some(letter) => {
                    let text = field(&date, letter);
                    out.push_str(
                        Some(text.trim_start_matches(['0', ' ']))
                            .filter(|t| !t.is_empty())
                            .unwrap_or("0"),
                    );
                }
                None => out.push_str("%-"),
            },
            Some(letter) => out.push_str(&field(&date, letter)),
            None => out.push('%'),
        }
    }
    out
}

fn field(d: &Date, letter: char) -> String {
    let (hour, minute, second) = (d.seconds / 3600, d.seconds / 60 % 60, d.seconds % 60);
    let hour12 = (hour + 11) % 12 + 1;
    let join = |format: &str| {
        format.chars().fold(String::new(), |mut out, c| {
            let _ = if c.is_ascii_alphabetic() {
                out.write_str(&field(d, c))
            } else {
                out.write_char(c)
            };
            out
        })
    };
    match letter {
        'Y' => d.year.to_string(),
        'y' => format!("{:02}", d.year.rem_euclid(100)),
        'm' => format!("{:02}", d.month + 1),
        'd' => format!("{:02}", d.day),
        'e' => format!("{:2}", d.day),
        'j' => format!("{:03}", d.day_of_year),
        'H' => format!("{hour:02}"),
        'I' => format!("{hour12:02}"),
        'M' => format!("{minute:02}"),
        'S' => format!("{second:02}"),
        'p' => if hour < 12 { "AM" } else { "PM" }.into(),
        'A' => DAYS[d.weekday].into(),
        'a' => DAYS[d.weekday][..3].into(),
        'B' => MONTHS[d.month].into(),
        'b' | 'h' => MONTHS[d.month][..3].into(),
        'u' => ((d.weekday + 6) % 7 + 1).to_string(),
        'w' => d.weekday.to_string(),
        'F' => join("Y-m-d"),
        'T' | 'X' => join("H:M:S"),
        'R' => join("H:M"),
        'D' | 'x' => join("m/d/y"),
        'c' => join("a b e T Y"),
        'Z' => "UTC".into(),
        'z' => "+0000".into(),
        'n' => "\n".into(),
        't' => "\t".into(),
        '%' => "%".into(),
        other => format!("%{other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // Checked with `date -u -d @N`.
        assert_eq!(
            strftime("%A %d %B %Y, %H:%M:%S %j", 0),
            "Thursday 01 January 1970, 00:00:00 001"
        );
        assert_eq!(strftime("%F %a %j", 951_782_400), "2000-02-29 Tue 060");
        assert_eq!(strftime("%F %j", 4_107_542_399), "2100-02-28 059");
        assert_eq!(
            strftime("%d %b %Y %-d %I%p", 1_735_689_599),
            "31 Dec 2024 31 11PM"
        );
        assert_eq!(strftime("%F", -1), "1969-12-31");
    }

    #[test]
    fn odd_formats_and_times_do_no_harm() {
        assert_eq!(strftime("%-d %q % %", 86_400), "2 %q % %");
        strftime("%c", i64::MAX);
        strftime("%c", i64::MIN);
    }
}
