// Package gather reads the inputs of a decision: from a cluster, through any client.Reader, or from files, where it stands
// in for the API server and refuses what the schema of the kinds would refuse.
//
// It decides nothing. It imports the core for its Inputs, the generated CustomResourceDefinitions, and the API server's
// own libraries for schemas, so that a file means in here what it means to kubectl. An error never comes with partial
// inputs: what could not be read must not look like what is not there.
package gather
