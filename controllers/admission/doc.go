// Package admission shows each bound namespace what its pods may do. Its root is a namespace: one PersonalDataAccess
// each, which its developers read, and which the in-process admission rules take as their parameter.
//
// The package imports the decision core, render, apply and the snapshot's publisher.
package admission
