// Package controllers puts the operator together: the manager with the least it needs to see, the one list of
// reconcilers, and the webhook.
//
//	            ┌─▶ networkpolicy   a policy for each store
//	snapshot ───┼─▶ admission       a PersonalDataAccess for each bound namespace
//	   │        ├─▶ credentials     Secrets where they are granted
//	   │        ├─▶ revocation      ends the pods that hold what is granted no more
//	   │        ├─▶ deadline        pods end with their contract, by the kubelet
//	   │        ├─▶ status          conditions of the four kinds, and events
//	   │        └─▶ termination     a deleted contract, until its disposal is recorded
//	   └──▶ webhook                 judges pods, warns at templates
//	freshness ─▶ webhook            refuses while this replica is cut off
//	certificate ▶ keeps the webhook's, and lets the API server trust it
//	rules    ──▶ keeps what the API server enforces by itself
//
// Each of them has its turn after the one above it (snapshot.Stage), so that what a snapshot takes away goes in this order.
//
// snapshot, webhook and certificate run on every replica, the others on the leader.
package controllers
