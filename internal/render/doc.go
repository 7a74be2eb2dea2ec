// Package render turns grants into apply configurations: what the cluster should hold, byte for byte the same for the
// same grants. It decides nothing; whoever is named here was granted by package entrustment.
//
// Everything is pure: no client, no context, no clock. The package imports the API types, the decision core, package
// reach and the apply configurations of client-go.
package render
