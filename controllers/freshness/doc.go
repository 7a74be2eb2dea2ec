// Package freshness keeps a replica from answering out of a cache that nobody fills any more.
//
// A replica that is cut off from the API server does not notice: its watches are silent, as they are where nothing happens. What was
// withdrawn meanwhile it would go on granting, for as long as somebody can reach its webhook. So it watches what is never
// silent: the lease that the leader, whichever replica that is, renews every two seconds. Not to have seen a renewal for
// longer than two leases last, after which another replica would have taken over, means to be cut off, or that nobody leads; either way
// withdrawals do not arrive here, and the webhook refuses, for a while: another replica may know.
//
// It counts by this process's own clock, and compares nothing with the lease's, so clocks need not agree. What this replica
// would still grant in between is bounded by those thirty seconds; the API server's own rules stand behind it all the time.
package freshness
