// Package chart draws parties, contracts, purposes, stores and namespaces: who entrusts what to whom, for what, until when.
//
//	report.World ──▶ New ──▶ Chart ──▶ layout ──▶ Page (HTML), SVG
//	                               └──────────▶ Dot, Mermaid
//
// The layout is a layered one, made for this: a column for each kind, and within a column the order that brings what belongs
// together next to each other (barycentres, a fixed number of sweeps). It depends on nothing but the names, so the same policy
// is the same picture. Everything is pure; nothing is decided here.
package chart
