/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells the service manager how we are (sd_notify(3)); nothing happens where there is none.
 * notify/systemd.c does it with libsystemd, notify/none.c is used where that is missing.
 */
#ifndef HOLDFAST_APP_NOTIFY_H
#define HOLDFAST_APP_NOTIFY_H

/* Clients may connect; also the end of a reload. */
void notify_ready(void);

void notify_reloading(void);

void notify_stopping(void);

#endif
