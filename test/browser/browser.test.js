// What a person at a browser meets: pages that load nothing, complain of nothing, are accessible, and answer to the keyboard. What is
// on a page is asserted, never how its pixels look. PAGES names the directory of the pages, CHROMIUM the browser.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const pages = resolve(process.env.PAGES);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let browser;
before(async () => {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
});
after(() => browser.close());

// Opens a page, and fails on whatever the browser complains of or tries to load.
async function open(name, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1600, height: 1000 }, bypassCSP: false, ...options });
  const page = await context.newPage();
  const complaints = [];
  const address = pathToFileURL(join(pages, `${name}.html`)).href;
  page.on('console', message => complaints.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', error => complaints.push(String(error)));
  page.on('dialog', dialog => { complaints.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', request => { if (request.url() !== address) complaints.push(`loads ${request.url()}`); });
  await page.goto(address);
  return { page, context, complaints };
}

async function accessible(page) {
  // axe runs in the page through the debugger, which the page's own policy does not bind.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  assert.deepEqual(violations.map(v => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map(n => n.target.join(' ')).join(', ')}`), []);
}

const names = readdirSync(pages).filter(name => name.endsWith('.html')).map(name => name.slice(0, -5));
assert.ok(names.length >= 9, 'there are too few pages to look at');

for (const name of names) {
  for (const colorScheme of ['light', 'dark']) {
    test(`${name} in ${colorScheme} complains of nothing and is accessible`, async () => {
      const { page, context, complaints } = await open(name, { colorScheme });
      await accessible(page);
      assert.deepEqual(complaints, []);
      await context.close();
    });
  }
}

test('the ledger shows declared and derived apart, and says what is blank', async () => {
  const { page, context } = await open('ledger');
  assert.equal(await page.locator('article').count(), 11);
  const fees = page.locator('article', { has: page.getByRole('heading', { name: 'fees: ' }) });
  assert.match(await fees.locator('tr.declared', { hasText: 'Until' }).first().innerText(), /2027-03-31/);
  assert.match(await fees.locator('tr.derived', { hasText: 'Next review due' }).innerText(), /2027-10-15/);
  assert.match(await fees.locator('tr.observed', { hasText: 'Access ended' }).innerText(), /not read from a cluster/);
  assert.match(await fees.locator('tr.unknown', { hasText: 'Incidents' }).innerText(), /to be filled in/);
  await context.close();
});

describe('the map', () => {
  const shown = page => page.locator('.node:visible');

  test('shows every object with its state and its end', async () => {
    const { page, context } = await open('map');
    assert.equal(await shown(page).count(), 94);
    await page.getByRole('button', { name: /^Contract analysis-modelling ends soon, on 2026-12-27/ }).waitFor();
    await context.close();
  });

  test('finds, filters and comes back', async () => {
    const { page, context } = await open('map-500');
    const all = await shown(page).count();
    assert.ok(all > 450 && all < 550, `${all} objects`);
    await page.getByRole('searchbox').fill('contract-17');
    assert.equal(await shown(page).count(), 1);
    await page.keyboard.press('Escape');
    assert.equal(await shown(page).count(), all);
    await page.getByLabel('in force', { exact: true }).uncheck();
    assert.ok(await shown(page).count() < all);
    assert.equal(await page.locator('.node[data-state=InForce]:visible').count(), 0);
    for (const state of ['EndingSoon', 'NotYetInForce', 'Suspended', 'Ended', 'Denied']) {
      assert.ok(await page.locator(`.node.Contract[data-state=${state}]:visible`).count() > 0, state);
    }
    await context.close();
  });

  test('shows what is chosen, and its neighbourhood alone', async () => {
    const { page, context, complaints } = await open('map');
    await page.getByRole('button', { name: /^Store Invoice print queue/ }).click();
    const details = page.getByRole('complementary', { name: 'Details' });
    await details.getByRole('heading', { name: 'Store data-billing/invoice-print-queue' }).waitFor();
    await details.getByRole('heading', { name: 'Opened by the contracts (2)' }).waitFor();
    await page.getByRole('button', { name: 'Show its neighbourhood alone' }).click();
    const left = await shown(page).count();
    assert.ok(left > 3 && left < 30, `${left} objects`);
    assert.equal(await page.locator('.node.Namespace:visible', { hasText: 'print-mailing-subentrustee' }).count(), 1);
    await accessible(page);
    await details.getByRole('button', { name: 'Contract fees-print-mailing' }).click();
    await details.getByText('Printing and mailing sub-entrustee').waitFor();
    await page.getByRole('button', { name: 'Show everything' }).click();
    assert.equal(await shown(page).count(), 94);
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test('is worked by the keyboard alone', async () => {
    const { page, context } = await open('map');
    const name = () => page.evaluate(() => document.activeElement.getAttribute('aria-label'));
    await page.keyboard.press('/');
    await page.keyboard.type('billing');
    const found = await shown(page).count();
    assert.ok(found > 1 && found < 94);
    await page.locator('.node[tabindex="0"]').focus();
    const first = await name();
    await page.keyboard.press('ArrowRight');
    assert.notEqual(await name(), first);
    await page.keyboard.press('Enter');
    assert.equal(await page.locator('.node[aria-pressed=true]').count(), 1);
    await page.keyboard.press('f');
    assert.ok(await shown(page).count() < 94);
    await page.keyboard.press('Escape');
    assert.equal(await shown(page).count(), 94);
    await context.close();
  });

  test('is a drawing without its script, too', async () => {
    const { page, context } = await open('map', { javaScriptEnabled: false });
    assert.equal(await page.locator('.node').count(), 94);
    await context.close();
  });
});
