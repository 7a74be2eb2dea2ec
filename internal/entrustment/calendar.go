package entrustment

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"entrustment.dev/operator/api/v1alpha1"
)

const dateLayout = "2006-01-02"

// calendar turns instants into days and back, in the data controller's time zone.
type calendar struct {
	now   time.Time
	today string // of now; dates compare as strings
	zone  *time.Location
}

func newCalendar(now time.Time, zone *time.Location) calendar {
	if zone == nil {
		zone = time.UTC
	}
	return calendar{now: now, today: now.In(zone).Format(dateLayout), zone: zone}
}

// start is the first instant of a day. A text that is no date is not a day: false.
func (c calendar) start(date v1alpha1.Date) (time.Time, bool) {
	if len(date) != len(dateLayout) || date[4] != '-' || date[7] != '-' {
		return time.Time{}, false
	}
	number := func(text string) int {
		n := 0
		for _, digit := range []byte(text) {
			if digit < '0' || digit > '9' {
				return -1
			}
			n = n*10 + int(digit-'0')
		}
		return n
	}
	year, month, day := number(date[:4]), number(date[5:7]), number(date[8:])
	if year < 0 || month < 1 || month > 12 || day < 1 || day > 31 {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, c.zone)
	// time.Date turns 30 February into 2 March; that text is no date.
	return t, time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Day() == day
}

// write puts an instant into a message.
func (c calendar) write(t time.Time) string { return t.In(c.zone).Format(time.RFC3339) }

func (c calendar) date(t time.Time) v1alpha1.Date { return t.In(c.zone).Format(dateLayout) }

// plusDays is the day so many calendar days after a date, at its first instant.
func plusDays(t time.Time, days int32) time.Time {
	if t.Location() == time.UTC { // where every day has 24 hours
		return t.Add(time.Duration(days) * 24 * time.Hour)
	}
	return t.AddDate(0, 0, int(days))
}

const defaultReviewPeriodDays = 365

// reviewDue is the day by which the next review is due: the last review, else notBefore, else the creation, plus the
// period. Reviews dated in the future are not made yet.
func (c calendar) reviewDue(e *v1alpha1.Entrustment) time.Time {
	var base time.Time
	period := int32(defaultReviewPeriodDays)
	if supervision := e.Spec.Supervision; supervision != nil {
		period = ptr.Deref(supervision.ReviewPeriodDays, defaultReviewPeriodDays)
		if last := c.lastReview(supervision); last != nil {
			base, _ = c.start(last.Date)
			return plusDays(base, period)
		}
	}
	switch {
	case e.Spec.NotBefore != nil:
		base = e.Spec.NotBefore.Time
	case !e.CreationTimestamp.IsZero():
		base = e.CreationTimestamp.Time
	default:
		base = c.now
	}
	year, month, day := base.In(c.zone).Date()
	return plusDays(time.Date(year, month, day, 0, 0, 0, 0, c.zone), period)
}

// lastReview is the latest review that has been made; nil if there is none.
func (c calendar) lastReview(s *v1alpha1.Supervision) *v1alpha1.Review {
	var last *v1alpha1.Review
	for i := range s.Reviews {
		review := &s.Reviews[i]
		if _, ok := c.start(review.Date); !ok || review.Date > c.today {
			continue
		}
		if last == nil || review.Date >= last.Date {
			last = review
		}
	}
	return last
}

// inForce is the one place that compares an instant with a term: from <= t < until. A nil bound is no bound.
func inForce(t time.Time, from, until *metav1.Time) (begun, ended bool) {
	return from == nil || !t.Before(from.Time), until != nil && !t.Before(until.Time)
}
