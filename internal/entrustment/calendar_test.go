package entrustment

import (
	"testing"
	"time"
)

func TestDays(t *testing.T) {
	for date, valid := range map[string]bool{
		"2026-11-23": true, "2024-02-29": true, "1969-12-31": true, "0001-01-01": true, "9999-12-31": true,
		"2026-02-30": false, "2026-13-01": false, "2026-00-10": false, "2026-1-1": false, "": false, "2026/11/23": false, "2026-11-2x": false,
	} {
		d := dayOf(date)
		if (d != none) != valid {
			t.Errorf("%q: a date: %t, want %t", date, d != none, valid)
		}
		if valid && d.String() != date {
			t.Errorf("%q comes back as %q", date, d)
		}
	}
}

// Every day begins at its first instant, also where the clocks change at midnight.
func TestStartOfDay(t *testing.T) {
	for _, name := range []string{"UTC", "Asia/Tokyo", "Europe/Berlin", "America/Santiago", "America/Havana", "Atlantic/Azores", "Australia/Lord_Howe", "Asia/Beirut", "America/Asuncion"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		c := newCalendar(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), zone)
		for d := dayOf("2015-01-01"); d < dayOf("2028-01-01"); d++ {
			start := c.start(d)
			if c.day(start) != d || c.day(start.Add(-time.Nanosecond)) != d-1 {
				t.Fatalf("%s: %s does not begin at %s", name, d, start)
			}
			if before := start.Add(-2 * time.Hour); c.day(before) >= d {
				t.Fatalf("%s: %s is there before %s already", name, d, start)
			}
		}
	}
}

// The next day that begins is found whatever the clocks did. In St John's they were put back from 00:01 to 23:01.
func TestNextDay(t *testing.T) {
	for _, name := range []string{"UTC", "America/St_Johns", "America/Santiago"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for now := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC); now.Year() == 2010; now = now.Add(29 * time.Minute) {
			c := newCalendar(now, zone)
			b, want := newBoundaries(c), time.Time{}
			for d := c.today - 2; d < c.today+3; d++ {
				b.addDay(d)
				if start := c.start(d); start.After(now) {
					want = earlier(want, start)
				}
			}
			if got := c.start(b.day); !got.Equal(want) {
				t.Fatalf("%s, %s: got %s, want %s", name, now, got, want)
			}
		}
	}
}
