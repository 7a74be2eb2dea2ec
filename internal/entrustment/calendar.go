package entrustment

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"entrustment.dev/operator/api/v1alpha1"
)

// day is a calendar day, counted from 1 January 1970. Adding to it adds days, however long each may be in some zone.
type day int64

// none stands for a text that is no date: before every day that a date can name.
const none day = -1 << 31

const dayLength = 24 * time.Hour

// dayOf reads a date, YYYY-MM-DD. A text that is no date is no day.
func dayOf(date v1alpha1.Date) day {
	if len(date) != len("2006-01-02") || date[4] != '-' || date[7] != '-' {
		return none
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
	y, m, d := number(date[:4]), number(date[5:7]), number(date[8:])
	if y < 0 || m < 1 || m > 12 || d < 1 || d > 31 {
		return none
	}
	t := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	if t.Day() != d { // 30 February
		return none
	}
	return dayOfCivil(t.Unix())
}

const daySeconds = int64(dayLength / time.Second)

// dayOfCivil is the day of so many seconds after the beginning of 1 January 1970, on a clock that is never put forward or back.
func dayOfCivil(seconds int64) day {
	d := seconds / daySeconds
	if seconds%daySeconds < 0 {
		d--
	}
	return day(d)
}

func (d day) civil() time.Time { return time.Unix(int64(d)*daySeconds, 0).UTC() }

func (d day) String() string { return d.civil().Format("2006-01-02") }

// calendar turns instants into days and back, in one time zone.
type calendar struct {
	now   time.Time
	today day // of now
	zone  *time.Location
}

func newCalendar(now time.Time, zone *time.Location) calendar {
	if zone == nil {
		zone = time.UTC
	}
	c := calendar{now: now, zone: zone}
	c.today = c.day(now)
	return c
}

// day on which an instant falls.
func (c calendar) day(t time.Time) day {
	_, offset := t.In(c.zone).Zone()
	return dayOfCivil(t.Unix() + int64(offset))
}

// start is the first instant of a day. Where clocks are put forward at midnight that is not midnight, and where they are
// put back over it, it is the first of two.
func (c calendar) start(d day) time.Time {
	midnight := d.civil()
	if c.zone == time.UTC {
		return midnight
	}
	y, m, date := midnight.Date()
	t := time.Date(y, m, date, 0, 0, 0, 0, c.zone)
	if c.day(t) < d { // there is no midnight: the day begins when the clocks change
		_, change := t.ZoneBounds()
		return change
	}
	if change, _ := t.ZoneBounds(); !change.IsZero() {
		_, offset := change.Add(-1).Zone()
		if first := midnight.Add(-time.Duration(offset) * time.Second); first.Before(change) && c.day(first) == d {
			return first.In(c.zone)
		}
	}
	return t
}

// write puts an instant into a message.
func (c calendar) write(t time.Time) string { return t.In(c.zone).Format(time.RFC3339) }

const (
	defaultReviewPeriodDays = 365
	defaultDisposalDueDays  = 30
	reviewSoonDays          = 30
	selectionSoonDays       = 30
)

// warnings are given so long before an end, the longest first.
var warnings = [...]struct {
	before time.Duration
	reason v1alpha1.Reason
}{
	{30 * dayLength, v1alpha1.ReasonEndsWithin30Days},
	{7 * dayLength, v1alpha1.ReasonEndsWithin7Days},
	{dayLength, v1alpha1.ReasonEndsWithin1Day},
}

// nearness tells how near an end is: the last warning that is due. Zero is no end.
func (c calendar) nearness(end time.Time) v1alpha1.Reason {
	if end.IsZero() {
		return v1alpha1.ReasonEndsLater
	}
	if _, ended := inForce(c.now, nil, &metav1.Time{Time: end}); ended {
		return v1alpha1.ReasonEnded
	}
	near := v1alpha1.ReasonEndsLater
	for _, w := range warnings {
		if _, due := inForce(c.now, nil, &metav1.Time{Time: end.Add(-w.before)}); due {
			near = w.reason
		}
	}
	return near
}

// reviewPeriod is the number of days between two reviews.
func reviewPeriod(e *v1alpha1.Entrustment) day {
	if e.Spec.Supervision == nil {
		return defaultReviewPeriodDays
	}
	return day(ptr.Deref(e.Spec.Supervision.ReviewPeriodDays, defaultReviewPeriodDays))
}

// reviewDue is the day by which the next review is due: the last review, else notBefore, else the creation, plus the
// period. Reviews dated in the future are not made yet.
func (c calendar) reviewDue(e *v1alpha1.Entrustment) day {
	if last := c.lastReview(e); last != nil {
		return dayOf(last.Date) + reviewPeriod(e)
	}
	base := c.now
	switch {
	case e.Spec.NotBefore != nil:
		base = e.Spec.NotBefore.Time
	case !e.CreationTimestamp.IsZero():
		base = e.CreationTimestamp.Time
	}
	return c.day(base) + reviewPeriod(e)
}

// lastReview is the latest review that has been made; nil if there is none.
func (c calendar) lastReview(e *v1alpha1.Entrustment) *v1alpha1.Review {
	if e.Spec.Supervision == nil {
		return nil
	}
	var last *v1alpha1.Review
	latest := none
	for i := range e.Spec.Supervision.Reviews {
		review := &e.Spec.Supervision.Reviews[i]
		if made := dayOf(review.Date); made != none && made <= c.today && made >= latest {
			last, latest = review, made
		}
	}
	return last
}

// lapse is the day from which an overdue review suspends an entrustment, if nothing is written to it until then: reviews
// dated in the future count when their day comes, if that is in time. The first of all counts even where it brings the next
// one forward, because it was made before the contract began.
func (c calendar) lapse(e *v1alpha1.Entrustment) day {
	lapse := c.reviewDue(e) + 1
	if lapse <= c.today {
		return lapse
	}
	for made := nextReview(e, c.today); made != none && made <= lapse; made = nextReview(e, made) {
		lapse = made + reviewPeriod(e) + 1
	}
	return lapse
}

// nextReview is the day of the first review after a day; none: there is none.
func nextReview(e *v1alpha1.Entrustment, after day) day {
	next := none
	for i := range e.Spec.Supervision.Reviews {
		if made := dayOf(e.Spec.Supervision.Reviews[i].Date); made > after && (next == none || made < next) {
			next = made
		}
	}
	return next
}

// disposalDue is the day by which the data have to be returned or erased.
func (c calendar) disposalDue(e *v1alpha1.Entrustment) day {
	days := int32(defaultDisposalDueDays)
	if e.Spec.Disposal != nil {
		days = ptr.Deref(e.Spec.Disposal.DueDays, defaultDisposalDueDays)
	}
	return c.day(end(e)) + day(days)
}

// end is the instant at which a contract's own term ends: notAfter, or its termination, which is the deletion of the object.
func end(e *v1alpha1.Entrustment) time.Time {
	if at := e.DeletionTimestamp; at != nil && at.Before(&e.Spec.NotAfter) {
		return at.Time
	}
	return e.Spec.NotAfter.Time
}

// term says whether a contract has begun, and whether it has ended. One that was terminated has, whatever the clock says, and
// so has one whose disposal is recorded: nobody could suspend or shorten it any more.
func (c calendar) term(e *v1alpha1.Entrustment) (begun, ended bool) {
	begun, ended = inForce(c.now, e.Spec.NotBefore, &e.Spec.NotAfter)
	return begun, ended || e.DeletionTimestamp != nil || closed(e)
}

// closed says whether it is recorded that the entrustee has returned or erased the data.
func closed(e *v1alpha1.Entrustment) bool {
	return e.Spec.Disposal != nil && e.Spec.Disposal.CompletedDate != ""
}

// checkDue is the day by which equivalent measures have to be checked again, a year after the last check (APPI rule
// 18); none: no check is recorded.
func checkDue(t *v1alpha1.Transfer) day {
	checked := dayOf(t.CheckedDate)
	if checked == none {
		return none
	}
	return dayOfCivil(checked.civil().AddDate(1, 0, 0).Unix())
}

// inForce is the one place that compares an instant with a term: from <= t < until. A nil bound is no bound.
func inForce(t time.Time, from, until *metav1.Time) (begun, ended bool) {
	return from == nil || !t.Before(from.Time), until != nil && !t.Before(until.Time)
}
