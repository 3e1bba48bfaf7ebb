/* Mistakes that a build with -DPLANT=... makes on purpose, for the test of the tests: if
 * (PLANTED(PLANT_LOSS)) */
#ifndef COMMON_KERNEL_PLANT_H
#define COMMON_KERNEL_PLANT_H

#define PLANT_DOUBLE 1 /* speed counts every duplicate */
#define PLANT_LOSS 2 /* speed leaves out a record in 100 */
#define PLANT_CORRECTION 3 /* batch mishears what speed said */
#define PLANT_REFUNDS 4 /* the kernel adds refunds instead of subtracting them */
#define PLANT_ARCHIVE 5 /* the archive leaves out a record in 100 */
#define PLANT_PROMOTE 6 /* promote does not look whether the version is behind */
#ifndef PLANT
#define PLANT 0
#endif
#define PLANTED(kind) (PLANT == (kind))

#endif
